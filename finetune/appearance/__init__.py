"""How the lower face looks, as a linear model of the coefficients, and the clip fitted to it."""
