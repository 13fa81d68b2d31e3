# Writes icc_missing_ratings.csv (designs with missing cells, one subject a row, ratings apart by
# spaces) and icc_missing_expected.csv.
#   Rscript make_icc_missing.R
# Estimates: lme4::lmer, refined by optim from its own optimum. Tests of no variance between
# subjects: stats::anova of stats::lm without and with subjects (Wald's exact F). Limits at 95 % of
# ICC(1,.) and ICC(C,.): the odds at which Wald's F, of dense error contrasts, meets the
# quantiles of stats::qf (Wald 1940; Seely and El-Bassiouni 1983).
suppressPackageStartupMessages(library(lme4))
set.seed(20260104)

digits <- function(x) sprintf("%.15g", x)
few <- function(x) sprintf("%.11g", x)
exact <- function(x) suppressWarnings(as.numeric(digits(x)))

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

# Limits of the variance of subjects over that of the residual, from contrasts free of the fixed part.
odds_limits <- function(d, fixed) {
  x <- model.matrix(fixed, d); z <- model.matrix(~ 0 + subject, d)
  free <- qr.Q(qr(x), complete = TRUE)[, -seq_len(qr(x)$rank)]
  z <- crossprod(free, z); y <- crossprod(free, (d$value - mean(d$value)) / sd(d$value))
  rank <- qr(z)$rank; df <- c(rank, nrow(z) - rank); error <- sum(qr.resid(qr(z), y)^2)
  f <- function(odds) {
    whole <- sum(y * solve(diag(nrow(z)) + odds * tcrossprod(z), y))
    max(whole - error, 1e-300) / df[1] / (error / df[2])
  }
  lowest <- -1 / max(svd(z)$d)^2
  at <- function(wanted) {
    # nearer to the lowest odds the covariance is singular in floating point
    g <- function(s) tryCatch(log(f(lowest + exp(s))), error = function(e) 50) - log(wanted)
    lowest + exp(uniroot(g, c(log(-lowest) - 25, 25), tol = 1e-13)$root)
  }
  c(at(qf(0.975, df[1], df[2])), at(qf(0.025, df[1], df[2])))
}

between <- function(low, high) sample(low:high, 1)
layout <- function(n, k, subjects, raters, noise = 1)
  outer(rnorm(n, sd = subjects), rnorm(k, sd = raters), "+") + noise * rnorm(n * k)
families <- list(
  ordinary = function() layout(between(6, 20), between(3, 6), rexp(1) + 0.2, rexp(1)),
  boundary = function() layout(between(6, 20), between(3, 6), sample(c(0, 0.05), 1),
                               sample(c(0, 0.05), 1)),
  tiny = function() layout(between(3, 5), between(2, 3), rexp(1) + 0.2, rexp(1)),
  large = function() layout(between(40, 60), between(4, 6), rexp(1) + 0.2, rexp(1)),
  offset = function() layout(between(6, 15), between(3, 5), rexp(1) + 0.2, rexp(1)) +
    10^between(3, 6),
  unit = function() layout(between(6, 15), between(3, 5), rexp(1) + 0.2, rexp(1)) *
    10^sample(c(-9, -3, 3, 9), 1),
  shifted = function() layout(between(6, 15), between(3, 5), 1, 5 * (rexp(1) + 0.2)),
  close = function() layout(between(6, 15), between(3, 5), 1, 0.05, 0.02)
)
times <- c(ordinary = 40, boundary = 25, tiny = 15, large = 8, offset = 15, unit = 15, shifted = 15,
           close = 15)

ratings <- list(); expected <- list()
for (family in names(families)) for (i in seq_len(times[[family]])) {
  x <- families[[family]](); n <- nrow(x); k <- ncol(x)
  middle <- signif(mean(x), 3)
  x <- middle + signif(x - middle, 6)
  x[sample(n * k, ceiling(runif(1, 0.05, 0.3) * n * k))] <- NA
  x <- x[rowSums(!is.na(x)) > 0, colSums(!is.na(x)) > 0, drop = FALSE]
  if (nrow(x) <= ncol(x) || ncol(x) < 2) next
  d <- na.omit(data.frame(subject = c(row(x)), rater = c(col(x)), value = exact(c(x))))
  d$subject <- factor(d$subject); d$rater <- factor(d$rater)
  # lme4 is given numbers about 1, about 0: its optimum does not depend on the unit
  scaled <- transform(d, value = (value - mean(value)) / sd(value))
  saturated <- lm(value ~ subject + rater, scaled)
  if (any(is.na(coef(saturated))) || saturated$df.residual < 1) next
  name <- paste(family, i, sep = "_")
  one <- refined(value ~ 1 + (1 | subject), scaled)
  # theta follows the order of decreasing numbers of levels: subjects first
  two <- refined(value ~ 1 + (1 | subject) + (1 | rater), scaled)
  k <- nlevels(d$rater)
  f_one <- tested(lm(value ~ 1, d), lm(value ~ subject, d))
  f_two <- tested(lm(value ~ rater, d), lm(value ~ rater + subject, d))
  share <- function(subjects, rest) subjects / (subjects + rest)
  limits_of <- function(odds) c(odds / (1 + odds), ifelse(1 + k * odds > 0, k * odds / (1 + k * odds), -Inf))
  limits_one <- limits_of(odds_limits(d, ~ 1)); limits_two <- limits_of(odds_limits(d, ~ rater))
  f <- rbind(f_one, f_two, f_two, f_one, f_two, f_two)
  limits <- rbind(limits_one[1:2], NA, limits_two[1:2], limits_one[3:4], NA, limits_two[3:4])
  expected[[name]] <- data.frame(
    design = name, form = c("ICC(1,1)", "ICC(A,1)", "ICC(C,1)", "ICC(1,k)", "ICC(A,k)", "ICC(C,k)"),
    icc = few(c(share(one[1], one[2]), share(two[1], two[2] + two[3]), share(two[1], two[3]),
                share(one[1], one[2] / k), share(two[1], (two[2] + two[3]) / k),
                share(two[1], two[3] / k))),
    ci_low = few(limits[, 1]), ci_high = few(limits[, 2]),
    f = few(f[, 1]), df1 = f[, 2], df2 = f[, 3], p_value = few(f[, 4]))
  ratings[[name]] <- data.frame(design = name, ratings = apply(x, 1, function(row)
    paste(ifelse(is.na(row), "nan", digits(row)), collapse = " ")))
}
write.csv(do.call(rbind, ratings), "icc_missing_ratings.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "icc_missing_expected.csv", row.names = FALSE, quote = 2)
writeLines(c(R.version.string, paste("lme4", packageVersion("lme4"))), "icc_missing_versions.txt")
