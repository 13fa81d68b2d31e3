# Writes ties_data.csv and ties_expected.csv: wilcox.test with and without digits.rank, and the exact
# p of the rounded differences by exactRankTests, which keeps exactness where values are tied.
#   Rscript make_ties.R
# The first four sets are the paired examples of ?wilcox.test of R 4.2.2.
suppressMessages(library(exactRankTests))
x <- c(1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30)
y <- c(0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29)
sets <- list(
  depression = list(x, y), integers = list(4:2, 3:1), tenths = list((4:2) / 10, (3:1) / 10),
  dice = list(c(.91, .82, .73, .94, .65, .86, .47, .88), c(.90, .80, .74, .93, .66, .84, .48, .85)),
  hundredths = list(c(91, 82, 73, 94, 65, 86, 47, 88), c(90, 80, 74, 93, 66, 84, 48, 85)),
  thousands = list(1e3 + c(.3, .1, .7, .4, .9, .2), 1e3 + c(.2, .2, .5, .2, .6, .3))
)
digits <- function(x) sprintf("%.17g", x)
rows <- list(); expected <- list()
for (name in names(sets)) {
  a <- sets[[name]][[1]]; b <- sets[[name]][[2]]
  rows[[name]] <- data.frame(design = name, first = digits(a), second = digits(b))
  for (kept in c(Inf, 9, 7)) {
    found <- suppressWarnings(wilcox.test(a, b, paired = TRUE, digits.rank = kept))
    approximate <- suppressWarnings(
      wilcox.test(a, b, paired = TRUE, digits.rank = kept, exact = FALSE)$p.value)
    d <- if (is.finite(kept)) signif(a - b, kept) else a - b
    exact <- suppressWarnings(wilcox.exact(d)$p.value)
    expected[[paste(name, kept)]] <- data.frame(
      design = name, digits = kept, w = found$statistic, p_r = digits(found$p.value),
      p_approximate = digits(approximate), p_exact = digits(exact))
  }
}
write.csv(do.call(rbind, rows), "ties_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "ties_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("exactRankTests", packageVersion("exactRankTests"))), "ties_versions.txt")
