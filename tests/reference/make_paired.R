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

digits <- function(x) sprintf("%.17g", x)
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
      confidence_level = level, difference = digits(found$estimate),
      ci_low = digits(found$conf.int[1]), ci_high = digits(found$conf.int[2]),
      t = digits(found$statistic), df = found$parameter, p_value = digits(found$p.value))
  }
}
write.csv(do.call(rbind, rows), "paired_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "paired_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(R.version.string, "paired_versions.txt")
