"""Critics, one file each. A critic defines what the value network predicts and how its error is measured."""
