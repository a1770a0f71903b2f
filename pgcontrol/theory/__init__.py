"""The theory this package stands on, as numerical checks of its own estimators and rules: `pgcontrol theory`."""
