# Writes kappa_ratings.csv (two raters, one subject a row) and kappa_expected.csv
# (psych::cohen.kappa: unweighted, linear and quadratic weights).
#   Rscript make_kappa.R
suppressMessages(library(psych))
set.seed(20260401)

two <- function(n, categories, agree) {
  first <- sample(categories, n, replace = TRUE, prob = 1 / seq_len(categories))
  other <- sample(categories, n, replace = TRUE)
  data.frame(first = first, second = ifelse(runif(n) < agree, first, other))
}
designs <- list(
  abstractors = data.frame(
    first = rep(c(1, 2, 2, 3, 3), c(13, 20, 7, 4, 56)),
    second = rep(c(1, 2, 3, 2, 3), c(13, 20, 7, 4, 56))),
  two_categories = two(60, 2, 0.6), three = two(40, 3, 0.8), five = two(200, 5, 0.5),
  small = two(12, 3, 0.7), none = two(100, 4, 0), nearly = two(300, 3, 0.98)
)
for (i in 1:60) designs[[paste("random", i, sep = "_")]] <- two(
  if (i > 57) 500 else sample(8:60, 1), sample(2:6, 1), runif(1))
digits <- function(x) sprintf("%.12g", x)
rows <- list(); expected <- list()
for (name in names(designs)) {
  set <- designs[[name]]
  size <- max(set)
  rows[[name]] <- data.frame(design = name, set)
  distance <- abs(outer(seq_len(size), seq_len(size), "-")) / max(size - 1, 1)
  for (weights in c("linear", "quadratic")) for (level in if (grepl("random", name)) sample(c(0.95, 0.8, 0.99), 1) else c(0.95, 0.8)) {
    found <- cohen.kappa(as.matrix(set), w = 1 - distance^(1 + (weights == "quadratic")),
                         alpha = 1 - level, levels = seq_len(size))
    expected[[paste(name, weights, level)]] <- data.frame(
      design = name, n_categories = size, weights = c("none", weights), confidence_level = level,
      estimate = digits(found$confid[, 2]), ci_low = digits(found$confid[, 1]),
      ci_high = digits(found$confid[, 3]))
  }
}
expected <- unique(do.call(rbind, expected))
write.csv(do.call(rbind, rows), "kappa_ratings.csv", row.names = FALSE, quote = FALSE)
write.csv(expected, "kappa_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("psych", packageVersion("psych"))), "kappa_versions.txt")
