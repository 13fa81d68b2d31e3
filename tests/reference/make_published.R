# Writes published_data.csv (data sets that R and its packages carry, one observation a row) and
# published_expected.csv: REML variances of lme4, refined to the optimum by its own devfun.
#   Rscript make_published.R
# Dyestuff, Dyestuff2: Davies and Goldsmith, Box and Tiao; Penicillin, Pastes: Davies and Goldsmith;
# cake: Cook, reported by Cochran and Cox.
suppressPackageStartupMessages(library(lme4))
digits <- function(x) sprintf("%.15g", x)
sets <- list(
  Dyestuff = list("Batch", "", Dyestuff$Yield, list(Batch = Dyestuff$Batch)),
  Dyestuff2 = list("Batch", "", Dyestuff2$Yield, list(Batch = Dyestuff2$Batch)),
  Penicillin = list("plate sample", "", Penicillin$diameter, Penicillin[c("plate", "sample")]),
  Pastes = list("batch batch:cask", "", Pastes$strength, Pastes[c("batch", "cask")]),
  cake = list("recipe:replicate", "temperature", cake$angle, cake[c("recipe", "replicate", "temperature")])
)
formulas <- list(
  Dyestuff = y ~ 1 + (1 | Batch), Dyestuff2 = y ~ 1 + (1 | Batch),
  Penicillin = y ~ 1 + (1 | plate) + (1 | sample), Pastes = y ~ 1 + (1 | batch) + (1 | batch:cask),
  cake = y ~ temperature + (1 | recipe:replicate))
rows <- list(); expected <- list()
for (name in names(sets)) {
  set <- sets[[name]]; factors <- as.data.frame(set[[4]])
  d <- data.frame(factors, y = set[[3]])
  # order of the factors by number of levels, as lme4 has them
  fit <- suppressMessages(lmer(formulas[[name]], d, control = lmerControl(
    optimizer = "bobyqa", boundary.tol = 0, optCtrl = list(rhoend = 1e-10), check.conv.singular = "ignore")))
  of <- update(fit, devFunOnly = TRUE); best <- getME(fit, "theta")
  for (pass in 1:4) {
    start <- if (length(best) == 1) optimize(of, c(0, 2 * best + 1), tol = 1e-12)$minimum else
      optim(best, function(x) if (any(x < 0)) 1e300 else of(x), control = list(reltol = 1e-16))$par
    if (of(start) < of(best)) best <- start
  }
  for (i in seq_along(best)) { zero <- replace(best, i, 0); if (of(zero) <= of(best) + 1e-10) best <- zero }
  of(best); e <- environment(of)
  sigma2 <- (e$pp$sqrL(1) + e$resp$wrss()) / (nrow(d) - ncol(e$pp$X))
  labels <- do.call(paste, c(lapply(names(factors), function(n) paste0(n, "=", factors[[n]])), sep = " "))
  rows[[name]] <- data.frame(design = name, levels = labels, y = digits(d$y))
  expected[[name]] <- data.frame(design = name, random = set[[1]], fixed = set[[2]],
    component = c(names(getME(fit, "flist")), "residual"), variance = digits(c(best^2, 1) * sigma2))
}
write.csv(do.call(rbind, rows), "published_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "published_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("lme4", packageVersion("lme4"))), "published_versions.txt")
