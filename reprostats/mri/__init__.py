"""MR operators in PyTorch, each with its adjoint: Fourier, coils, sampling, dipole, gradients."""
