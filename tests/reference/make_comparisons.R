# Writes comparisons_data.csv (two samples, one pair a row) and comparisons_expected.csv: limits of
# the noncentrality of t (stats::pt), Wilcoxon's test with its interval (stats::wilcox.test, exact,
# no ties), both one-sided t tests against a margin, paired and Welch (stats::t.test), and
# p_adjusted.csv (stats::p.adjust).
#   Rscript make_comparisons.R
set.seed(20260402)
digits <- function(x) sprintf("%.17g", x)
noncentrality <- function(t, df, p)
  uniroot(function(x) suppressWarnings(pt(t, df, ncp = x)) - p, c(-37, 37), tol = 1e-13)$root

rows <- list(); expected <- list()
sizes <- c(6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 49)
for (index in seq_along(sizes)) for (shift in c(0, 0.3, 1.2)) {
  n <- sizes[index]
  name <- paste0("n", n, "_", shift)
  first <- as.numeric(digits(rnorm(n) + shift)); second <- as.numeric(digits(rnorm(n) * 1.5))
  rows[[name]] <- data.frame(design = name, first = digits(first), second = digits(second))
  t <- t.test(first, second, paired = TRUE)$statistic
  for (alternative in c("two.sided", "less", "greater")) for (level in c(0.95, 0.8)) {
    w <- wilcox.test(first, second, paired = TRUE, exact = TRUE, conf.int = TRUE,
                     conf.level = level, alternative = alternative)
    tail <- (1 - level) / (if (alternative == "two.sided") 2 else 1)
    margin <- 0.8
    tost <- function(paired) c(
      t.test(first, second, paired = paired, mu = -margin, alternative = "greater")$p.value,
      t.test(first, second, paired = paired, mu = margin, alternative = "less")$p.value)
    expected[[paste(name, alternative, level)]] <- data.frame(
      design = name, alternative = sub(".", "-", alternative, fixed = TRUE),
      confidence_level = level,
      dz_low = digits(noncentrality(t, n - 1, 1 - tail) / sqrt(n)),
      dz_high = digits(noncentrality(t, n - 1, tail) / sqrt(n)),
      w = w$statistic, w_p_value = digits(w$p.value), hodges_lehmann = digits(w$estimate),
      w_low = digits(w$conf.int[1]), w_high = digits(w$conf.int[2]),
      tost_paired = digits(max(tost(TRUE))), tost_welch = digits(max(tost(FALSE))))
  }
}
write.csv(do.call(rbind, rows), "comparisons_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "comparisons_expected.csv", row.names = FALSE, quote = FALSE)
p <- as.numeric(digits(c(runif(20)^3, 0.5, 0.5, 0, 1)))
write.csv(data.frame(p_value = digits(p), holm = digits(p.adjust(p, "holm")),
                     benjamini_hochberg = digits(p.adjust(p, "BH"))),
          "p_adjusted.csv", row.names = FALSE, quote = FALSE)
writeLines(R.version.string, "comparisons_versions.txt")
