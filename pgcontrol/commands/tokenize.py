"""Learn tokens from the actions of a run or a dataset, for --head token."""

from collections.abc import Mapping

from pgcontrol.arguments import TokenizeOptions as Options
from pgcontrol.flags import Section
from pgcontrol.options import pick


def run(options: Options, settings: Mapping[str, str]) -> int:
    """Write the tokenizer folder."""
    from pgcontrol.data.tokenize import tokenize
    from pgcontrol.machine.terminal import Terminal
    from pgcontrol.parts import command
    from pgcontrol.text import count
    from pgcontrol.tokenizers.files import flags

    made = tokenize(options, **settings)
    tokenizer, say = made.tokenizer, Terminal(highlight=False, soft_wrap=True).print
    fitted = f"{made.chunks:,} chunks of {options.horizon} from {options.source}, sampled with seed {options.seed}"
    say(f"{fitted}; {made.held_out:,} held out")
    say(f"{count(tokenizer.length, 'code')} with {tokenizer.codes} values: {made.bits:.2f} bits per action")
    spread = f"standard deviation of the actions {made.deviation:.4f}"
    say(f"error {made.error:.4f} half-ranges (root mean square, held out); {spread}")
    say(command("train", made.env or "TASK", "--head", "token", "--head.source", made.path, *flags(tokenizer)))
    return 0


def sections(options: Options, settings: Mapping[str, str]) -> list[Section]:
    """The options of the chosen kind."""
    from pgcontrol.tokenizers.files import kinds

    chosen = pick("tokenizer", options.kind, kinds())
    return [Section(f"--kind NAME: {' | '.join(kinds())} [{options.kind}]", chosen.Options())]
