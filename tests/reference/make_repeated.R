# Writes repeated_data.csv (one observation a row), repeated_expected.csv (complete designs, car) and
# repeated_mixed_expected.csv (missing cells, lmerTest).
#   Rscript make_repeated.R
# Complete: car::Anova on a multivariate linear model with idata, type 2: univariate tests, Mauchly's
# test, Greenhouse-Geisser and Huynh-Feldt epsilon. Missing cells: lmerTest::anova, type 3 sums of
# squares, Satterthwaite's degrees of freedom.
suppressPackageStartupMessages({library(car); library(lmerTest)})
set.seed(20260105)
options(contrasts = c("contr.sum", "contr.poly"))
digits <- function(x) sprintf("%.17g", x)

simulate <- function(n, a, b, groups) {
  d <- expand.grid(b = factor(seq_len(b)), a = factor(seq_len(a)), subject = factor(seq_len(n)))
  d$group <- factor((as.integer(d$subject) - 1) %% groups + 1)
  d$y <- rnorm(n, sd = 2)[d$subject] + rnorm(n * a, sd = 0.7)[as.integer(interaction(d$subject, d$a))] +
    0.4 * as.integer(d$a) + rexp(nrow(d)) * as.integer(d$a)
  d$y <- as.numeric(digits(d$y))
  d
}

rows <- list(); expected <- list(); mixed <- list()
keep <- function(name, d) {
  rows[[name]] <<- data.frame(design = name, subject = d$subject, group = d$group, a = d$a, b = d$b,
                              y = digits(d$y))
}

complete <- list(c(8, 4, 1, 1), c(5, 3, 1, 1), c(12, 2, 1, 1), c(10, 3, 2, 1), c(9, 4, 3, 1),
                 c(12, 3, 1, 3), c(13, 4, 1, 2), c(11, 3, 2, 2), c(20, 5, 1, 1), c(8, 6, 1, 1))
for (i in seq_along(complete)) {
  s <- complete[[i]]; name <- paste0("complete_", i)
  d <- simulate(s[1], s[2], s[3], s[4]); keep(name, d)
  y <- t(matrix(d$y, nrow = s[2] * s[3]))           # rows of expand.grid: b fastest, then a
  group <- d$group[seq(1, nrow(d), s[2] * s[3])]
  idata <- expand.grid(b = factor(seq_len(s[3])), a = factor(seq_len(s[2])))
  if (s[3] == 1) idata <- idata["a"]
  fit <- if (s[4] > 1) lm(y ~ group) else lm(y ~ 1)
  idesign <- if (s[3] > 1) ~ a * b else ~ a
  found <- summary(Anova(fit, idata = idata, idesign = idesign, type = 2), multivariate = FALSE)
  tests <- unclass(found$univariate.tests)
  tests <- tests[rownames(tests) != "(Intercept)", , drop = FALSE]
  pick <- function(table, source, column) {
    if (length(table) && source %in% rownames(table)) unclass(table)[source, column] else NA
  }
  expected[[name]] <- do.call(rbind, lapply(rownames(tests), function(source) data.frame(
    design = name, source = source, sum_of_squares = digits(tests[source, "Sum Sq"]),
    df = tests[source, "num Df"], error = digits(tests[source, "Error SS"]),
    df_error = tests[source, "den Df"], f = digits(tests[source, "F value"]),
    p_value = digits(tests[source, "Pr(>F)"]),
    mauchly_w = digits(pick(found$sphericity.tests, source, 1)),
    mauchly_p = digits(pick(found$sphericity.tests, source, 2)),
    greenhouse_geisser = digits(pick(found$pval.adjustments, source, "GG eps")),
    huynh_feldt = digits(pick(found$pval.adjustments, source, "HF eps")),
    p_greenhouse_geisser = digits(pick(found$pval.adjustments, source, "Pr(>F[GG])")),
    p_huynh_feldt = digits(pick(found$pval.adjustments, source, "Pr(>F[HF])")))))
}

options(contrasts = c("contr.treatment", "contr.poly"))  # R's default
for (i in 1:12) {
  s <- list(c(8, 4, 1, 1), c(10, 3, 2, 1), c(12, 3, 1, 2))[[i %% 3 + 1]]; name <- paste0("missing_", i)
  d <- simulate(s[1], s[2], s[3], s[4])
  d <- d[-sample(nrow(d), ceiling(0.1 * nrow(d))), ]; keep(name, d)
  formula <- if (s[3] > 1) y ~ a * b + (1 | subject) + (1 | subject:a) + (1 | subject:b) else
    if (s[4] > 1) y ~ group * a + (1 | subject) else y ~ a + (1 | subject)
  fit <- lmer(formula, d, control = lmerControl(optimizer = "bobyqa", check.conv.singular = "ignore",
                                                optCtrl = list(rhoend = 1e-10)))
  fit <- lmer(formula, d, start = getME(fit, "theta"), control = lmerControl(
    optimizer = "bobyqa", check.conv.singular = "ignore", optCtrl = list(rhobeg = 1e-4, rhoend = 1e-12)))
  found <- as.data.frame(anova(fit, type = 3))
  mixed[[name]] <- data.frame(design = name, source = rownames(found), df = found$NumDF,
                              df_error = digits(found$DenDF), f = digits(found[["F value"]]),
                              p_value = digits(found[["Pr(>F)"]]))
}
write.csv(do.call(rbind, rows), "repeated_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "repeated_expected.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, mixed), "repeated_mixed_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("car", packageVersion("car")),
             paste("lmerTest", packageVersion("lmerTest"))), "repeated_versions.txt")
