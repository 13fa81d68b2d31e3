# Writes repeated_data.csv (one observation a row), repeated_expected.csv (complete designs, car) and
# repeated_mixed_expected.csv (missing cells, lmerTest).
#   Rscript make_repeated.R
# 60 complete designs, 90 with missing cells, values of five digits.
# Complete: car::Anova on a multivariate linear model with idata, type 2: univariate tests, Mauchly's
# test, Greenhouse-Geisser and Huynh-Feldt epsilon. Missing cells: lmerTest::anova, type 3 sums of
# squares, Satterthwaite's degrees of freedom, at an optimum that optim refined until the deviance
# fell no more: where bobyqa alone stops, F is known to 1e-5 only.
suppressPackageStartupMessages({library(car); library(lmerTest)})
set.seed(20260105)
options(contrasts = c("contr.sum", "contr.poly"))
digits <- function(x) sprintf("%.15g", x)
few <- function(x) sprintf("%.11g", x)

simulate <- function(n, a, b, groups) {
  d <- expand.grid(b = factor(seq_len(b)), a = factor(seq_len(a)), subject = factor(seq_len(n)))
  d$group <- factor((as.integer(d$subject) - 1) %% groups + 1)
  d$y <- rnorm(n, sd = 2)[d$subject] + rnorm(n * a, sd = 0.7)[as.integer(interaction(d$subject, d$a))] +
    0.4 * as.integer(d$a) + rexp(nrow(d)) * as.integer(d$a)
  d$y <- signif(d$y, 5)
  d
}

rows <- list(); expected <- list(); mixed <- list()
keep <- function(name, d) {
  rows[[name]] <<- data.frame(design = name, subject = d$subject, group = d$group, a = d$a, b = d$b,
                              y = digits(d$y))
}

complete <- list(c(8, 4, 1, 1), c(5, 3, 1, 1), c(12, 2, 1, 1), c(10, 3, 2, 1), c(9, 4, 3, 1),
                 c(12, 3, 1, 3), c(13, 4, 1, 2), c(11, 3, 2, 2), c(20, 5, 1, 1), c(8, 6, 1, 1))
between <- function(low, high) sample(low:high, 1)
for (i in 11:60) complete[[i]] <- if (i > 58) c(30, between(3, 5), 2, 2) else
  c(between(8, 15), between(2, 6), sample(c(1, 1, 2, 3), 1), sample(c(1, 1, 2, 3), 1))
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
    design = name, source = source, sum_of_squares = few(tests[source, "Sum Sq"]),
    df = tests[source, "num Df"], error = few(tests[source, "Error SS"]),
    df_error = tests[source, "den Df"], f = few(tests[source, "F value"]),
    p_value = few(tests[source, "Pr(>F)"]),
    mauchly_w = few(pick(found$sphericity.tests, source, 1)),
    mauchly_p = few(pick(found$sphericity.tests, source, 2)),
    greenhouse_geisser = few(pick(found$pval.adjustments, source, "GG eps")),
    huynh_feldt = few(pick(found$pval.adjustments, source, "HF eps")),
    p_greenhouse_geisser = few(pick(found$pval.adjustments, source, "Pr(>F[GG])")),
    p_huynh_feldt = few(pick(found$pval.adjustments, source, "Pr(>F[HF])")))))
}

refined <- function(formula, d) {
  control <- function(optimizer, ...) lmerControl(optimizer = optimizer, boundary.tol = 0,
    check.conv.singular = "ignore", check.conv.grad = "ignore", check.conv.hess = "ignore", ...)
  fit <- lmer(formula, d, control = control("bobyqa", optCtrl = list(rhoend = 1e-10)))
  deviance_of <- update(fit, devFunOnly = TRUE)
  best <- start <- getME(fit, "theta")
  for (pass in 1:6) {
    start <- if (length(start) == 1) optimize(deviance_of, c(0.99 * start, 1.01 * start + 1e-4), tol = 1e-14)$minimum
      else optim(start, function(x) if (any(x < 0)) 1e300 else deviance_of(x),
                 control = list(reltol = 1e-16, maxit = 5000))$par
    if (deviance_of(start) < deviance_of(best)) best <- start
  }
  # the deviance is flat to rounding within 1e-8 of its least: Newton's steps on its slope go on
  for (pass in 1:4) {
    inside <- which(best > 1e-4)
    if (!length(inside)) break
    of <- function(x) deviance_of(replace(best, inside, x))
    step <- tryCatch(solve(numDeriv::hessian(of, best[inside]), numDeriv::grad(of, best[inside])),
                     error = function(e) NULL)
    if (is.null(step) || max(abs(step / best[inside])) > 1e-4) break
    best[inside] <- best[inside] - step
  }
  for (i in seq_along(best)) {
    zero <- replace(best, i, 0)
    if (best[i] < 1e-3 && deviance_of(zero) <= deviance_of(best) + 1e-10) best <- zero
  }
  lmer(formula, d, start = best, control = control(NULL))
}

options(contrasts = c("contr.treatment", "contr.poly"))  # R's default
shapes <- list(c(8, 4, 1, 1), c(10, 3, 2, 1), c(12, 3, 1, 2))
for (i in 1:90) {
  s <- shapes[[i %% 3 + 1]]; name <- paste0("missing_", i)
  if (i > 12) s[1:2] <- c(between(6, 18), between(3, 5))
  if (i > 84) s[1] <- 30
  d <- simulate(s[1], s[2], s[3], s[4])
  if (i %% 11 == 0) d$y <- d$y + 1000
  if (i %% 5 == 0) d$y <- signif(d$y - ave(d$y, d$subject) + rnorm(s[1], sd = 0.1)[d$subject], 5)
  if (i %% 7 == 0) d$y <- signif(d$y * 10^sample(c(-6, 6), 1), 5)
  d <- d[-sample(nrow(d), ceiling(runif(1, 0.03, 0.2) * nrow(d))), ]; d$subject <- factor(d$subject)
  formula <- if (s[3] > 1) y ~ a * b + (1 | subject) + (1 | subject:a) + (1 | subject:b) else
    if (s[4] > 1) y ~ group * a + (1 | subject) else y ~ a + (1 | subject)
  if (any(table(d$a, d$b, d$group) == 0)) next
  keep(name, d)
  # R's numbers about 1: its optimum then does not depend on the unit; F and df do not change
  scaled <- transform(d, y = (y - mean(y)) / sd(y))
  fit <- refined(formula, scaled)
  found <- as.data.frame(anova(fit, type = 3))
  mixed[[name]] <- data.frame(design = name, source = rownames(found), df = found$NumDF,
                              df_error = few(found$DenDF), f = few(found[["F value"]]),
                              p_value = few(found[["Pr(>F)"]]), singular = isSingular(fit, tol = 1e-6))
}
write.csv(do.call(rbind, rows), "repeated_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "repeated_expected.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, mixed), "repeated_mixed_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("car", packageVersion("car")),
             paste("lmerTest", packageVersion("lmerTest"))), "repeated_versions.txt")
