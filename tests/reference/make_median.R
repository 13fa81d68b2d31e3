# Writes median_data.csv and median_expected.csv: percentile limits of the bootstrap of the median
# with 200,000 resamples (boot::boot), of samples of odd and even size.
#   Rscript make_median.R
library(boot)
set.seed(20260403)
digits <- function(x) sprintf("%.17g", x)
rows <- list(); expected <- list()
for (n in c(5:15, 18, 20, 25, 30)) for (level in c(0.95, 0.8)) {
  x <- as.numeric(digits(rexp(n)))
  name <- paste0("n", n, "_", level)
  found <- boot(x, function(d, i) median(d[i]), R = 200000)
  limits <- quantile(found$t, c((1 - level) / 2, (1 + level) / 2), type = 1)
  rows[[name]] <- data.frame(design = name, value = digits(x))
  expected[[name]] <- data.frame(design = name, confidence_level = level,
    ci_low = digits(limits[1]), ci_high = digits(limits[2]))
}
write.csv(do.call(rbind, rows), "median_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "median_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("boot", packageVersion("boot"))), "median_versions.txt")
