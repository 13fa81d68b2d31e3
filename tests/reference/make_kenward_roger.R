# Writes kenward_roger_expected.csv: type 3 tests of the designs with missing cells of
# repeated_data.csv, with Kenward and Roger's degrees of freedom.
#   Rscript make_kenward_roger.R
# pbkrtest::KRmodcomp of contrasts that span each term, coded to sum to zero; the likelihood is
# refined beyond bobyqa's stop (refined.R). `f` is scaled, as KRmodcomp's "Ftest".
suppressPackageStartupMessages({library(lmerTest); library(pbkrtest)})
source("refined.R")
options(contrasts = c("contr.sum", "contr.poly"))
few <- function(x) sprintf("%.11g", x)
data <- read.csv("repeated_data.csv")
expected <- list()
for (name in grep("^missing_", unique(data$design), value = TRUE)) {
  d <- subset(data, design == name)
  for (column in c("subject", "group", "a", "b")) d[[column]] <- factor(d[[column]])
  d$y <- (d$y - mean(d$y)) / sd(d$y)
  formula <- if (nlevels(d$b) > 1) y ~ a * b + (1 | subject) + (1 | subject:a) + (1 | subject:b) else
    if (nlevels(d$group) > 1) y ~ group * a + (1 | subject) else y ~ a + (1 | subject)
  found <- refined(formula, d); fit <- as(found$fit, "lmerMod")
  assigned <- attr(getME(fit, "X"), "assign"); terms <- attr(terms(fit), "term.labels")
  for (i in seq_along(terms)) {
    L <- diag(length(assigned))[assigned == i, , drop = FALSE]
    test <- KRmodcomp(fit, L)$test["Ftest", ]
    expected[[length(expected) + 1]] <- data.frame(
      design = name, source = terms[i], df = test$ndf, df_error = few(test$ddf),
      f = few(test$stat), p_value = few(test$p.value), singular = found$zero)
  }
}
write.csv(do.call(rbind, expected), "kenward_roger_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, sapply(c("lme4", "pbkrtest"), function(name)
  paste(name, packageVersion(name)))), "kenward_roger_versions.txt")
