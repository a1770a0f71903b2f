"""CleanRL's loop for continuous actions (ppo_continuous_action.py) on our environments, without changes."""

import gymnasium as gym
import numpy as np
import pgcontrol_envs  # noqa: F401
import pytest
import torch
from gymnasium.vector import AutoresetMode
from torch import nn
from torch.distributions import Normal

STEPS, ENVS, GAMMA, LAMBDA = 64, 2, 0.99, 0.95


def make_env(env_id):
    def thunk():
        env = gym.make(env_id)
        env = gym.wrappers.FlattenObservation(env)  # deal with dm_control's Dict observation space
        env = gym.wrappers.RecordEpisodeStatistics(env)
        env = gym.wrappers.ClipAction(env)
        env = gym.wrappers.NormalizeObservation(env)
        env = gym.wrappers.TransformObservation(env, lambda obs: np.clip(obs, -10, 10), env.observation_space)
        env = gym.wrappers.NormalizeReward(env, gamma=GAMMA)
        return gym.wrappers.TransformReward(env, lambda reward: np.clip(float(reward), -10, 10))

    return thunk


def one_by_one(env_id):
    return gym.vector.SyncVectorEnv([make_env(env_id) for _ in range(ENVS)], autoreset_mode=AutoresetMode.SAME_STEP)


def batched(env_id):
    envs = gym.make_vec(env_id, num_envs=ENVS)
    envs = gym.wrappers.vector.RecordEpisodeStatistics(envs)
    envs = gym.wrappers.vector.ClipAction(envs)
    envs = gym.wrappers.vector.NormalizeObservation(envs)
    return gym.wrappers.vector.NormalizeReward(envs, gamma=GAMMA)


class Agent(nn.Module):
    def __init__(self, envs):
        super().__init__()
        seen, A = np.prod(envs.single_observation_space.shape), np.prod(envs.single_action_space.shape)
        self.critic = nn.Sequential(nn.Linear(seen, 64), nn.Tanh(), nn.Linear(64, 1))
        self.actor_mean = nn.Sequential(nn.Linear(seen, 64), nn.Tanh(), nn.Linear(64, A))
        self.actor_logstd = nn.Parameter(torch.zeros(1, A))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        mean = self.actor_mean(x)
        probs = Normal(mean, self.actor_logstd.expand_as(mean).exp())
        action = probs.sample() if action is None else action
        return action, probs.log_prob(action).sum(1), probs.entropy().sum(1), self.critic(x)


@pytest.mark.parametrize("make", [one_by_one, batched])
def test_the_loop(make):
    torch.manual_seed(1)
    envs = make("pgcontrol/Hopper-v5")
    assert isinstance(envs.single_action_space, gym.spaces.Box)
    agent = Agent(envs)
    optimizer = torch.optim.Adam(agent.parameters(), lr=3e-4, eps=1e-5)
    first = [p.detach().clone() for p in agent.parameters()]
    obs = torch.zeros((STEPS, ENVS, *envs.single_observation_space.shape))
    actions = torch.zeros((STEPS, ENVS, *envs.single_action_space.shape))
    logprobs, rewards, dones, values = torch.zeros((4, STEPS, ENVS))

    next_obs, _ = envs.reset(seed=1)
    next_obs, next_done = torch.Tensor(next_obs), torch.zeros(ENVS)
    episodes, returns = [], rewards
    for _ in range(3):
        for step in range(STEPS):
            obs[step], dones[step] = next_obs, next_done
            with torch.no_grad():
                action, logprob, _, value = agent.get_action_and_value(next_obs)
                values[step] = value.flatten()
            actions[step], logprobs[step] = action, logprob
            next_obs, reward, terminations, truncations, infos = envs.step(action.cpu().numpy())
            next_done = np.logical_or(terminations, truncations)
            rewards[step] = torch.tensor(reward).view(-1)
            next_obs, next_done = torch.Tensor(next_obs), torch.Tensor(next_done)
            stats = infos.get("final_info", infos).get("episode")
            if stats is not None:
                episodes += stats["l"][stats["_l"] if "_l" in stats else infos["_episode"]].tolist()
        with torch.no_grad():
            next_value = agent.get_value(next_obs).reshape(1, -1)
            advantages, lastgaelam = torch.zeros_like(rewards), 0
            for t in reversed(range(STEPS)):
                nextnonterminal = 1.0 - (next_done if t == STEPS - 1 else dones[t + 1])
                nextvalues = next_value if t == STEPS - 1 else values[t + 1]
                delta = rewards[t] + GAMMA * nextvalues * nextnonterminal - values[t]
                advantages[t] = lastgaelam = delta + GAMMA * LAMBDA * nextnonterminal * lastgaelam
            returns = advantages + values
        _, newlogprob, entropy, newvalue = agent.get_action_and_value(obs.flatten(0, 1), actions.flatten(0, 1))
        ratio = (newlogprob - logprobs.flatten()).exp()
        surrogate = torch.min(ratio * advantages.flatten(), ratio.clamp(0.8, 1.2) * advantages.flatten())
        loss = 0.5 * ((newvalue.view(-1) - returns.flatten()) ** 2).mean() - surrogate.mean() - 0.0 * entropy.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    envs.close()
    assert len(episodes) >= 4
    assert all(length >= 5 for length in episodes)
    assert torch.isfinite(returns).all()
    assert all((p != q).any() for p, q in zip(agent.parameters(), first, strict=True))
