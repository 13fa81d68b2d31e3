# Writes icc_missing_ratings.csv (designs with missing cells) and icc_missing_expected.csv.
#   Rscript make_icc_missing.R
# Estimates: lme4::lmer, refined by optim from its own optimum. Tests of no variance between
# subjects: stats::anova of stats::lm without and with subjects (Wald's exact F).
suppressPackageStartupMessages(library(lme4))
set.seed(20260104)

digits <- function(x) sprintf("%.17g", x)

refined <- function(formula, d) {
  fit <- suppressMessages(suppressWarnings(lmer(formula, d, control = lmerControl(
    optimizer = "bobyqa", boundary.tol = 0, check.conv.singular = "ignore",
    calc.derivs = FALSE, optCtrl = list(rhoend = 1e-10)))))
  deviance_of <- lmer(formula, d, devFunOnly = TRUE)
  best <- getME(fit, "theta")
  start <- best
  for (pass in 1:4) {
    start <- if (length(start) == 1) {
      optimize(deviance_of, c(0, 2 * start + 1), tol = 1e-12)$minimum
    } else {
      optim(start, function(x) if (any(x < 0)) 1e300 else deviance_of(x),
            control = list(reltol = 1e-15, maxit = 5000))$par
    }
    if (deviance_of(start) < deviance_of(best)) best <- start
  }
  for (i in seq_along(best)) {
    zero <- replace(best, i, 0)
    if (best[i] < 1e-3 && deviance_of(zero) <= deviance_of(best) + 1e-10) best <- zero
  }
  deviance_of(best)
  e <- environment(deviance_of)
  c(best^2, 1) * (e$pp$sqrL(1) + e$resp$wrss()) / (nrow(d) - 1)
}

tested <- function(small, large) {
  found <- anova(small, large)
  c(found$F[2], found$Df[2], found$Res.Df[2], found[["Pr(>F)"]][2])
}

ratings <- list(); expected <- list()
for (i in 1:30) {
  n <- sample(6:20, 1); k <- sample(3:6, 1)
  x <- outer(rnorm(n, sd = rexp(1) + 0.2), rnorm(k, sd = rexp(1)), "+") + rnorm(n * k)
  if (i %% 5 == 0) x <- x * 1e-3 + 1
  x[sample(n * k, ceiling(runif(1, 0.05, 0.3) * n * k))] <- NA
  d <- na.omit(data.frame(subject = c(row(x)), rater = c(col(x)), value = as.numeric(digits(c(x)))))
  d$subject <- factor(d$subject); d$rater <- factor(d$rater)
  if (nlevels(d$subject) <= nlevels(d$rater)) next
  name <- paste0("missing_", i)
  one <- refined(value ~ 1 + (1 | subject), d)
  # theta follows the order of decreasing numbers of levels: subjects first
  two <- refined(value ~ 1 + (1 | subject) + (1 | rater), d)
  k <- nlevels(d$rater)
  f_one <- tested(lm(value ~ 1, d), lm(value ~ subject, d))
  f_two <- tested(lm(value ~ rater, d), lm(value ~ rater + subject, d))
  share <- function(subjects, rest) subjects / (subjects + rest)
  f <- rbind(f_one, f_two, f_two, f_one, f_two, f_two)
  expected[[name]] <- data.frame(
    design = name, form = c("ICC(1,1)", "ICC(A,1)", "ICC(C,1)", "ICC(1,k)", "ICC(A,k)", "ICC(C,k)"),
    icc = digits(c(share(one[1], one[2]), share(two[1], two[2] + two[3]), share(two[1], two[3]),
                   share(one[1], one[2] / k), share(two[1], (two[2] + two[3]) / k),
                   share(two[1], two[3] / k))),
    f = digits(f[, 1]), df1 = f[, 2], df2 = f[, 3], p_value = digits(f[, 4]))
  ratings[[name]] <- data.frame(design = name, subject = d$subject, rater = d$rater,
                                value = digits(d$value))
}
write.csv(do.call(rbind, ratings), "icc_missing_ratings.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "icc_missing_expected.csv", row.names = FALSE, quote = 2)
writeLines(c(R.version.string, paste("lme4", packageVersion("lme4"))), "icc_missing_versions.txt")
