"""What settings and algorithms of Stable-Baselines3 and CleanRL are called here, for the hints in errors."""

NAMES = {
    "total_timesteps": "total_steps",
    "env_id": "env",
    "n_envs": "num_envs",
    "n_steps": "rollout_steps",
    "num_steps": "rollout_steps",
    "batch_size": "algorithm.minibatch",
    "minibatch_size": "algorithm.minibatch",
    "n_epochs": "algorithm.epochs",
    "update_epochs": "algorithm.epochs",
    "lr": "algorithm.learning_rate",
    "anneal_lr": "algorithm.decay",
    "clip_range": "algorithm.clip",
    "clip_coef": "algorithm.clip",
    "clip_range_vf": "algorithm.value_clip",
    "ent_coef": "algorithm.entropy_coef",
    "vf_coef": "algorithm.value_coef",
    "norm_adv": "algorithm.normalise_advantage",
    "normalize_advantage": "algorithm.normalise_advantage",
    "tensorboard_log": "run_dir",
    "cuda": "device",
    "track": "logger",
    "capture_video": "video",
}
REMARKS = {
    "num_minibatches": "here 'algorithm.minibatch' is the number of samples in one",
    "policy_kwargs": "here its entries are settings: 'hidden', 'critic_hidden', 'trunk', 'head.initial_std'",
    "net_arch": "here it is 'hidden' for the policy and 'critic_hidden' for the critic",
    "log_std_init": "here it is 'head.initial_std', which is σ, not log σ",
    "save_model": "here checkpoints are always saved; 'checkpoint_every' sets how often",
    "use_sde": "not here; 'noise_beta' makes the noise smooth over time",
    "clip_vloss": "here it is 'algorithm.value_clip', with its own range",
    **dict.fromkeys(
        ("sac", "td3", "ddpg", "dqn", "tqc", "crossq"),
        "not here: an off-policy algorithm. 'decqn' is the only one here that uses a replay buffer",
    ),
    "recurrentppo": "not here: policies have no memory",
}


def instead(name: str) -> str:
    """The end of an error line about an unknown name: `; here it is 'rollout_steps'`, or an empty string."""
    name = name.lower().replace("-", "_")
    if name in NAMES:
        return f"; here it is {NAMES[name]!r}"
    return f"; {REMARKS[name]}" if name in REMARKS else ""
