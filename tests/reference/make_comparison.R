# Writes comparison_expected.csv: every pair of algorithms in the designs of comparison_designs.py.
#   Rscript make_comparison.R
# (PYTHON names the interpreter, if it is not python3)
#
# se, df, p_value: by linear weights, from R's numbers. In balanced designs, and of two algorithms with
# unequal runs on the same cases, the parts of the variance are R's mean squares (analysis "mean
# squares"), in others those of lmer's restricted maximum likelihood (analysis "likelihood").
# lmer_se; satterthwaite_*: lmerTest; kenward_roger_*: pbkrtest. `singular`: lmer has a variance at 0.
# The likelihood is refined beyond bobyqa's stop (refined.R).
suppressPackageStartupMessages({library(lmerTest); library(pbkrtest)})
python <- Sys.getenv("PYTHON", "python3")
data <- read.csv(pipe(paste(python, "comparison_designs.py")), stringsAsFactors = FALSE)
few <- function(x) sprintf("%.11g", x)

random <- list(
  nested = c("case", "algorithm:run", "algorithm:case"),
  crossed = c("run", "case", "algorithm:run", "algorithm:case", "run:case"))

source("refined.R")

mean_squares <- function(d, runs) {
  a <- nlevels(d$algorithm); n <- nlevels(d$case)
  fit <- anova(if (runs == "nested") lm(y ~ algorithm + algorithm:run + case + algorithm:case, d)
               else lm(y ~ algorithm * run + algorithm * case + run:case, d))
  # Cases are balanced and runs not: the mean square of algorithm x case is that of differences.
  counts <- rowSums(table(d$algorithm, d$run) > 0)
  of_pairs <- fit["algorithm:case", "Mean Sq"]
  if (runs == "nested" && a == 2) {
    means <- tapply(d$y, d[c("algorithm", "case")], mean)
    of_pairs <- var(means[1, ] - means[2, ]) / sum(1 / counts)
  }
  list(counts = counts, R = fit["algorithm:run", "Mean Sq"], AC = of_pairs,
       RC = fit["Residuals", "Mean Sq"], fR = fit["algorithm:run", "Df"], fAC = (a - 1) * (n - 1))
}

# Quantiles are weighed where a part has one degree of freedom (Cochran and Cox).
weighed <- function(estimate, of_runs, f_runs, of_cases, f_cases) {
  se <- sqrt(of_runs + of_cases); share <- of_runs / (of_runs + of_cases)
  if (of_cases > 0 && of_runs > 0 && f_runs == 1) {
    t <- abs(estimate) / se
    excess <- function(log_tail) share * qt(exp(log_tail), f_runs, lower.tail = FALSE) +
      (1 - share) * qt(exp(log_tail), f_cases, lower.tail = FALSE) - t
    p <- 2 * exp(uniroot(excess, c(-50, log(0.5)), tol = 1e-13)$root)
    return(list(se = se, df = NA, p = p))
  }
  df <- 1 / (share / f_runs + (1 - share) / f_cases)
  list(se = se, df = df, p = 2 * pt(-abs(estimate) / se, df))
}

expected <- list()
for (name in unique(data$design)) {
  d <- subset(data, design == name); runs <- d$runs[1]
  by_squares <- d$layout[1] == "complete" ||
    (d$layout[1] == "unequal runs" && runs == "nested" && length(unique(d$algorithm)) == 2)
  for (column in c("algorithm", "case", "run")) d[[column]] <- factor(d[[column]])
  # lmer's optimum depends on the unit
  offset <- mean(d$value); unit <- sd(d$value); d$y <- (d$value - offset) / unit
  formula <- as.formula(paste("y ~ 0 + algorithm +", paste0("(1 | ", random[[runs]], ")", collapse = " + ")))
  found <- refined(formula, d); fit <- found$fit
  n <- nlevels(d$case); a <- nlevels(d$algorithm)
  pairs_of_runs <- nrow(unique(d[c("algorithm", "run")]))
  f_runs <- pairs_of_runs - a - (if (runs == "crossed") nlevels(d$run) - 1 else 0)
  f_cases <- (a - 1) * (n - 1)
  if (by_squares) squares <- mean_squares(d, runs) else {
    X <- getME(fit, "X"); variances <- as.data.frame(VarCorr(fit))
    Zt <- getME(fit, "Ztlist"); groups <- sub("\\..*$", "", names(Zt))
    V <- diag(variances$vcov[variances$grp == "Residual"], nrow(X))
    for (i in seq_along(Zt)) V <- V + variances$vcov[variances$grp == groups[i]] * as.matrix(crossprod(Zt[[i]]))
    weights <- solve(V, X); C <- solve(t(X) %*% weights)
    of_pairs <- Zt[[which(groups == "algorithm:case")]] %*% weights %*% C
    v_pairs <- variances$vcov[variances$grp == "algorithm:case"]
  }
  letters_of <- levels(d$algorithm)
  for (i in seq_len(a - 1)) for (j in (i + 1):a) {
    L <- as.numeric(letters_of == letters_of[i]) - as.numeric(letters_of == letters_of[j])
    satterthwaite <- contest1D(fit, L, ddf = "Satterthwaite")
    kenward_roger <- contest1D(fit, L, ddf = "Kenward-Roger")
    if (by_squares) {
      factor <- sum(1 / squares$counts[c(i, j)]) / n
      estimate <- diff(rev(tapply(d$y, d$algorithm, mean)[c(i, j)]))
      ours <- weighed(estimate, factor * squares$R, squares$fR,
                      factor * max(squares$AC - squares$RC, 0), squares$fAC)
    } else {
      estimate <- satterthwaite$Estimate
      of_cases <- v_pairs * sum((of_pairs %*% L)^2)
      ours <- weighed(estimate, as.numeric(t(L) %*% C %*% L) - of_cases, f_runs, of_cases, f_cases)
    }
    expected[[length(expected) + 1]] <- data.frame(
      design = name, runs = runs, layout = d$layout[1],
      analysis = if (by_squares) "mean squares" else "likelihood", singular = found$zero,
      first = letters_of[i], second = letters_of[j], estimate = few(unit * estimate),
      se = few(unit * ours$se), df = few(ours$df), p_value = few(ours$p),
      lmer_se = few(unit * satterthwaite[["Std. Error"]]),
      satterthwaite_df = few(satterthwaite$df), satterthwaite_p = few(satterthwaite[["Pr(>|t|)"]]),
      kenward_roger_se = few(unit * kenward_roger[["Std. Error"]]),
      kenward_roger_df = few(kenward_roger$df), kenward_roger_p = few(kenward_roger[["Pr(>|t|)"]]))
  }
  message(name, " ", runs, " ", d$layout[1], if (found$zero) " singular" else "")
}
write.csv(do.call(rbind, expected), "comparison_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, sapply(c("lme4", "lmerTest", "pbkrtest"),
             function(name) paste(name, packageVersion(name)))), "comparison_versions.txt")
