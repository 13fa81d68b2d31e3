# Writes icc_ratings.csv (designs, one subject a row, ratings apart by spaces) and icc_expected.csv
# (what R finds in them): named designs, and 230 random ones in nine families.
#   Rscript make_icc.R
# Estimates, F, degrees of freedom, p and limits for null = 0: psych::ICC. Tests against another
# null: Table 8 of McGraw and Wong (1996) on the mean squares of stats::aov, with stats::pf.
suppressPackageStartupMessages(library(psych))
set.seed(20260101)

design <- function(n, k, subjects, raters, noise, offset = 0) {
  offset + outer(rnorm(n, sd = subjects), rnorm(k, sd = raters), "+") +
    matrix(rnorm(n * k, sd = noise), n, k)
}

designs <- list(
  shrout_fleiss = matrix(c(9, 2, 5, 8, 6, 1, 3, 2, 8, 4, 6, 8, 7, 1, 2, 6, 10, 5, 6, 9, 6, 2, 4, 7),
                         ncol = 4, byrow = TRUE),
  smallest = design(2, 2, 2, 1, 1),
  two_subjects = design(2, 5, 2, 1, 1),
  two_raters = design(12, 2, 2, 1, 1),
  plain = design(10, 3, 2, 1, 1),
  wide = design(5, 12, 2, 1, 1),
  long = design(60, 3, 1, 0.5, 1),
  offset_million = design(10, 3, 2, 1, 1, offset = 1e6),
  tiny_unit = design(10, 3, 2, 1, 1) * 1e-9,
  huge_unit = design(10, 3, 2, 1, 1) * 1e9,
  no_subjects = design(20, 4, 0, 0, 1),
  no_raters = design(20, 4, 2, 0, 1),
  raters_dominate = design(15, 4, 1, 20, 1),
  nearly_perfect = design(15, 4, 1, 1e-5, 1e-5),
  nearly_none = design(30, 5, 0.05, 0.05, 1),
  consistent = design(8, 4, 1, 5, 1e-4),
  whole_numbers = round(design(9, 4, 2, 1, 1)),
  dice = round(plogis(design(25, 7, 0.4, 0.05, 0.1) + 2), 4)
)

between <- function(low, high) sample(low:high, 1)
spread <- function() rexp(1) + 0.05
families <- list(
  ordinary = function() design(between(5, 25), between(2, 8), spread(), rexp(1), spread()),
  boundary = function() design(between(5, 25), between(2, 6), sample(c(0, 0.02), 1),
                               sample(c(0, 0.02), 1), 1),
  tiny = function() design(between(2, 4), between(2, 3), spread(), rexp(1), spread()),
  large = function() design(between(60, 120), between(3, 8), spread(), rexp(1), spread()),
  offset = function() design(between(5, 20), between(2, 5), spread(), rexp(1), spread(),
                             offset = sample(c(-1, 1), 1) * 10^between(3, 6)),
  unit = function() design(between(5, 20), between(2, 5), spread(), rexp(1), spread()) *
    10^sample(c(-9, -4, 4, 9), 1),
  shifted = function() design(between(5, 30), between(2, 6), 1, 10 * spread(), 1),
  close = function() design(between(5, 20), between(2, 6), 1, 10^-between(1, 5), 10^-between(1, 5)),
  tied = function() round(design(between(6, 25), between(2, 6), 1.5, 0.5, 1))
)
times <- c(ordinary = 50, boundary = 40, tiny = 30, large = 10, offset = 20, unit = 20, shifted = 20,
           close = 20, tied = 20)
for (family in names(families)) for (i in seq_len(times[[family]])) {
  x <- families[[family]]()
  while (family == "tied" && min(var(c(x)), var(rowMeans(x))) == 0) x <- families[[family]]()
  # few digits keep the file small, and are the same numbers to R and to others
  middle <- signif(mean(x), 3)
  designs[[paste(family, i, sep = "_")]] <- middle + signif(x - middle, 6)
}

mean_squares <- function(x) {
  long <- data.frame(value = c(x), subject = factor(c(row(x))), rater = factor(c(col(x))))
  two <- summary(aov(value ~ subject + rater, long))[[1]][["Mean Sq"]]
  one <- summary(aov(value ~ subject, long))[[1]][["Mean Sq"]]
  list(subjects = two[1], raters = two[2], error = two[3], within = one[2])
}

null_test <- function(x, null) {
  n <- nrow(x); k <- ncol(x); ms <- mean_squares(x)
  row <- function(expected, df2) {
    f <- ms$subjects / expected
    c(f, n - 1, df2, pf(f, n - 1, df2, lower.tail = FALSE))
  }
  agreement <- function(a, b) {
    c_ <- a * ms$raters; e <- b * ms$error
    row(c_ + e, (c_ + e)^2 / (c_^2 / (k - 1) + e^2 / ((n - 1) * (k - 1))))
  }
  one <- n * (k - 1); two <- (n - 1) * (k - 1); single <- (1 + (k - 1) * null) / (1 - null)
  rbind(
    row(ms$within * single, one),
    agreement(k * null / (n * (1 - null)), 1 + k * null * (n - 1) / (n * (1 - null))),
    row(ms$error * single, two),
    row(ms$within / (1 - null), one),
    agreement(null / (n * (1 - null)), 1 + null * (n - 1) / (n * (1 - null))),
    row(ms$error / (1 - null), two)
  )
}

digits <- function(x) sprintf("%.15g", x)
few <- function(x) sprintf("%.11g", x)
ratings <- list(); expected <- list()
for (name in names(designs)) {
  x <- designs[[name]]
  x[] <- as.numeric(digits(x))
  ratings[[name]] <- data.frame(design = name, ratings = apply(x, 1, function(row)
    paste(digits(row), collapse = " ")))
  for (level in if (grepl("_[0-9]+$", name)) sample(c(0.95, 0.8, 0.99), 1) else c(0.95, 0.8)) {
    found <- ICC(x, alpha = 1 - level, lmer = FALSE)$results
    far <- null_test(x, 0.5)
    expected[[paste(name, level)]] <- data.frame(
      design = name, confidence_level = level, shrout_fleiss = c(
        "ICC(1,1)", "ICC(2,1)", "ICC(3,1)", "ICC(1,k)", "ICC(2,k)", "ICC(3,k)"),
      icc = few(found$ICC), ci_low = few(found[["lower bound"]]),
      ci_high = few(found[["upper bound"]]), f = few(found$F), df1 = found$df1,
      df2 = few(found$df2), p_value = few(found$p),
      f_half = few(far[, 1]), df2_half = few(far[, 3]), p_value_half = few(far[, 4]))
  }
}
write.csv(do.call(rbind, ratings), "icc_ratings.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "icc_expected.csv", row.names = FALSE, quote = 3)
writeLines(c(R.version.string, paste("psych", packageVersion("psych"))), "icc_versions.txt")
