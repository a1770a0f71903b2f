"""The theory behind this package, as numerical checks of its own estimators and rules: `pgcontrol theory`."""
