# lmer's optimum to about ten digits: bobyqa, variances that are better at 0 set to 0, and Newton's
# steps on the slope of the deviance, which itself is flat to rounding within 1e-8 of its least.
refined <- function(formula, d) {
  control <- function(optimizer, ...) lmerControl(optimizer = optimizer, boundary.tol = 0,
    check.conv.singular = "ignore", check.conv.grad = "ignore", check.conv.hess = "ignore", ...)
  fit <- lmer(formula, d, control = control("bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5)))
  deviance_of <- update(fit, devFunOnly = TRUE)
  best <- getME(fit, "theta")
  for (i in seq_along(best)) {
    zero <- replace(best, i, 0)
    if (best[i] < 1e-2 && deviance_of(zero) <= deviance_of(best) + 1e-9) best <- zero
  }
  for (pass in 1:6) {
    inside <- which(best > 0)
    of <- function(x) deviance_of(replace(best, inside, x))
    step <- tryCatch(solve(numDeriv::hessian(of, best[inside]), numDeriv::grad(of, best[inside])),
                     error = function(e) NULL)
    if (is.null(step) || max(abs(step / best[inside])) > 0.05) break
    best[inside] <- best[inside] - step
  }
  list(fit = lmer(formula, d, start = best, control = control(NULL)), zero = any(best == 0))
}
