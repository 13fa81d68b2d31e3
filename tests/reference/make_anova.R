# Writes anova_data.csv (data sets, one observation a row) and anova_expected.csv.
#   Rscript make_anova.R
# Eleven named designs and 100 random ones.
# Type 1: stats::anova(lm). Types 2 and 3: car::Anova, factors coded by contr.sum for type 3.
suppressPackageStartupMessages(library(car))
set.seed(20260102)

data_set <- function(rows, offset = 0, scale = 1) {
  a <- sample(c("a1", "a2", "a3"), rows, replace = TRUE)
  b <- sample(c("b1", "b2"), rows, replace = TRUE)
  x <- rnorm(rows)
  y <- offset + scale * (match(a, unique(a)) + 0.5 * (b == "b1") + 0.3 * x + rnorm(rows))
  data.frame(a = a, b = b, x = x, y = y)
}

balanced <- expand.grid(a = c("a1", "a2", "a3"), b = c("b1", "b2"), repeat_ = 1:4)
balanced$x <- rnorm(24)
balanced$y <- rnorm(24) + (balanced$a == "a2")
empty <- subset(data_set(40), !(a == "a3" & b == "b2"))

cases <- list(
  list("balanced", balanced[c("a", "b", "x", "y")], "y ~ a * b"),
  list("unbalanced", data_set(31), "y ~ a * b"),
  list("additive", data_set(25), "y ~ a + b"),
  list("covariate", data_set(30), "y ~ a * b + x"),
  list("slopes", data_set(30), "y ~ a * x"),
  list("nested", data_set(40), "y ~ a + a:b"),
  list("one_way", data_set(18), "y ~ a"),
  list("no_effect", within(data_set(30), y <- rnorm(30)), "y ~ a * b"),
  list("offset_thousand", data_set(40, offset = 1e3), "y ~ a * b"),
  list("small_unit", data_set(30, scale = 1e-3), "y ~ a * b"),
  list("empty_cell", empty, "y ~ a * b")
)

formulas <- c("y ~ a * b", "y ~ a + b", "y ~ a * b + x", "y ~ a * x", "y ~ a")
for (i in 1:100) {
  rows <- if (i > 95) 400 else sample(12:40, 1)
  offset <- sample(c(0, 0, 0, 1e3, -1e6), 1)
  set <- data_set(rows, offset, scale = if (offset == 0) sample(c(1, 1, 1e-3, 1e6), 1) else 1) # car takes a residual below 1e-10 for 0
  if (any(table(set$a, set$b) == 0) || length(unique(set$a)) < 3) next
  middle <- signif(mean(set$y), 3)
  set$x <- signif(set$x, 5); set$y <- middle + signif(set$y - middle, 6)
  cases[[length(cases) + 1]] <- list(paste("random", i, sep = "_"), set, sample(formulas, 1))
}

digits <- function(x) sprintf("%.15g", x)
few <- function(x) sprintf("%.12g", x)
rows <- list(); expected <- list()
keep <- function(name, formula, typ, found) {
  found <- found[rownames(found) != "(Intercept)", ]
  data.frame(design = name, formula = formula, typ = typ, source = trimws(rownames(found)),
             sum_of_squares = few(found[["Sum Sq"]]), df = found$Df,
             f = few(found[["F value"]]), p_value = few(found[["Pr(>F)"]]))
}
for (case in cases) {
  name <- case[[1]]; data <- case[[2]]; formula <- case[[3]]
  data$x <- as.numeric(digits(data$x)); data$y <- as.numeric(digits(data$y))
  rows[[name]] <- data.frame(design = name, a = data$a, b = data$b, x = digits(data$x),
                             y = digits(data$y))
  options(contrasts = c("contr.treatment", "contr.poly"))
  fit <- lm(as.formula(formula), data)
  expected[[paste(name, 1)]] <- keep(name, formula, 1, anova(fit))
  if (name == "nested") next
  expected[[paste(name, 2)]] <- keep(name, formula, 2, Anova(fit, type = 2))
  if (name == "empty_cell") next
  options(contrasts = c("contr.sum", "contr.poly"))
  expected[[paste(name, 3)]] <- keep(name, formula, 3, Anova(lm(as.formula(formula), data), type = 3))
}
write.csv(do.call(rbind, rows), "anova_data.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, expected), "anova_expected.csv", row.names = FALSE, quote = FALSE)
writeLines(c(R.version.string, paste("car", packageVersion("car"))), "anova_versions.txt")
