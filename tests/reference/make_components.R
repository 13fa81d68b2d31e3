# Writes components_data.csv (designs, one observation a row) and components_expected.csv (what
# lme4 finds in them).
#   Rscript make_components.R
# Variances by restricted maximum likelihood: lme4::lmer, refined from its own optimum by bobyqa and
# by Nelder-Mead until neither gains, since the default tolerance leaves about four digits.
suppressPackageStartupMessages(library(lme4))
set.seed(20260103)

effects <- function(levels, sd) rnorm(nlevels(levels), sd = sd)[as.integer(levels)]
sizes <- c(0, 0.05, 0.3, 1, 3)
draw_sd <- function() sample(sizes, 1)

crossed <- function(a, b, times, keep) {
  d <- expand.grid(a = factor(seq_len(a)), b = factor(seq_len(b)), times = seq_len(times))
  d <- d[sort(sample(nrow(d), ceiling(keep * nrow(d)))), ]
  d$a <- factor(d$a); d$b <- factor(d$b)
  d$g <- factor(ifelse(as.integer(d$a) %% 2 == 0, "even", "odd"))
  d
}

models <- list(
  one_way = list("a", "y ~ 1 + (1 | a)"),
  crossed = list("a b", "y ~ 1 + (1 | a) + (1 | b)"),
  nested = list("a a:b", "y ~ 1 + (1 | a) + (1 | a:b)"),
  interaction = list("a b a:b", "y ~ 1 + (1 | a) + (1 | b) + (1 | a:b)"),
  mixed = list("a b", "y ~ g + (1 | a) + (1 | b)")
)

simulate <- function(model, balanced, scale, offset) {
  repeats <- model %in% c("nested", "interaction")
  d <- crossed(sample(4:12, 1), sample(3:7, 1), if (repeats) sample(2:3, 1) else 1,
               if (balanced) 1 else runif(1, 0.6, 0.95))
  y <- effects(d$a, draw_sd()) + rnorm(nrow(d), sd = 1)
  if (model != "one_way") y <- y + effects(if (model == "nested") interaction(d$a, d$b) else d$b, draw_sd())
  if (model == "interaction") y <- y + effects(interaction(d$a, d$b), draw_sd())
  if (model == "mixed") y <- y + (d$g == "odd")
  d$y <- as.numeric(sprintf("%.17g", offset + scale * y))
  d
}

tight <- function(d, formula) {
  fit <- suppressMessages(suppressWarnings(lmer(formula, d, REML = TRUE, control = lmerControl(
    optimizer = "bobyqa", calc.derivs = FALSE, boundary.tol = 0,
    check.conv.singular = "ignore", optCtrl = list(rhoend = 1e-10)))))
  deviance_of <- lmer(formula, d, REML = TRUE, devFunOnly = TRUE)
  best <- getME(fit, "theta")
  candidates <- c(list(best), lapply(1:3, function(i) pmax(best + runif(length(best), -1, 1), 0)))
  for (start in candidates) {
    for (pass in 1:3) {
      found <- optim(start, function(x) if (any(x < 0)) 1e300 else deviance_of(x),
                     method = if (length(start) == 1) "Brent" else "Nelder-Mead",
                     lower = if (length(start) == 1) 0 else -Inf,
                     upper = if (length(start) == 1) 2 * max(start, 1) + 1 else Inf,
                     control = list(reltol = 1e-15, maxit = 5000))
      start <- found$par
    }
    if (deviance_of(start) < deviance_of(best) - 1e-12) best <- start
  }
  # a variance that is better at 0 is at 0
  for (i in seq_along(best)) {
    zero <- replace(best, i, 0)
    if (deviance_of(zero) <= deviance_of(best) + 1e-10 && best[i] < 1e-3) best <- zero
  }
  deviance_of(best)
  e <- environment(deviance_of)
  sigma2 <- (e$pp$sqrL(1) + e$resp$wrss()) / (nrow(d) - ncol(e$pp$X))
  list(theta = best, sigma2 = sigma2, names = names(getME(fit, "flist")), deviance = deviance_of(best))
}

digits <- function(x) sprintf("%.17g", x)
rows <- list(); expected <- list()
for (model in names(models)) for (balanced in c(TRUE, FALSE)) for (i in 1:30) {
  scale <- c(1, 1, 1, 1e-6, 1e6)[i %% 5 + 1]
  offset <- if (i %% 6 == 0) 1000 * scale else 0
  name <- paste(model, if (balanced) "balanced" else "unbalanced", i, sep = "_")
  d <- simulate(model, balanced, scale, offset)
  formula <- as.formula(models[[model]][[2]])
  found <- tight(d, formula)
  # theta follows the order of decreasing numbers of levels, as flist does
  variances <- c(found$theta^2 * found$sigma2, found$sigma2)
  rows[[name]] <- data.frame(design = name, a = d$a, b = d$b, g = d$g, y = digits(d$y))
  expected[[name]] <- data.frame(
    design = name, random = models[[model]][[1]], fixed = if (model == "mixed") "g" else "",
    component = c(found$names, "residual"), variance = digits(variances))
}
write.csv(do.call(rbind, rows), "components_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "components_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("lme4", packageVersion("lme4"))), "components_versions.txt")
