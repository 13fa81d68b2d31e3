# Writes paired_data.csv (pairs, one a row) and paired_expected.csv (stats::t.test).
#   Rscript make_paired.R
set.seed(20260103)

pairs <- function(n, shift, noise, offset = 0, scale = 1) {
  base <- rnorm(n)
  data.frame(first = offset + scale * base, second = offset + scale * (base - shift + noise * rnorm(n)))
}
sets <- list(
  smallest = pairs(2, 0.5, 1), three = pairs(3, 1, 0.2), plain = pairs(10, 0.5, 1),
  many = pairs(200, 0.1, 1), sure = pairs(30, 5, 0.1), none = pairs(15, 0, 1),
  negative = pairs(12, -1, 1), offset_million = pairs(20, 0.5, 1, offset = 1e6),
  tiny_unit = pairs(20, 0.5, 1, scale = 1e-9), close = pairs(20, 1, 1e-6),
  sleep = data.frame(first = sleep$extra[1:10], second = sleep$extra[11:20])
)

for (i in 1:60) {
  n <- if (i > 57) 150 else sample(2:25, 1)
  set <- pairs(n, sample(c(0, 0.1, 0.5, 2), 1), 10^runif(1, -3, 1),
               offset = sample(c(0, 0, 1e3, -1e6), 1), scale = sample(c(1, 1, 1e-6, 1e6), 1))
  middle <- signif(mean(set$first), 3)
  sets[[paste("random", i, sep = "_")]] <- middle + signif(set - middle, 6)
}

digits <- function(x) sprintf("%.15g", x)
few <- function(x) sprintf("%.13g", x)
rows <- list(); expected <- list()
for (name in names(sets)) {
  set <- sets[[name]]
  set[] <- lapply(set, function(x) as.numeric(digits(x)))
  rows[[name]] <- data.frame(design = name, first = digits(set$first), second = digits(set$second))
  for (alternative in c("two.sided", "less", "greater")) for (level in c(0.95, 0.5)) {
    found <- t.test(set$first, set$second, paired = TRUE, alternative = alternative,
                    conf.level = level)
    expected[[paste(name, alternative, level)]] <- data.frame(
      design = name, alternative = sub(".", "-", alternative, fixed = TRUE),
      confidence_level = level, difference = few(found$estimate),
      ci_low = few(found$conf.int[1]), ci_high = few(found$conf.int[2]),
      t = few(found$statistic), df = found$parameter, p_value = few(found$p.value))
  }
}
write.csv(do.call(rbind, rows), "paired_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "paired_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(R.version.string, "paired_versions.txt")
