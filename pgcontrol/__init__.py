"""Policy gradients on MuJoCo, with the action head as the experiment."""
