"""Compare two heads over seeds from Python: run what is missing, read the rows, write the report again."""

import sys
from pathlib import Path

import pgcontrol

SWEEP = """
question: Does a binned head learn to balance as fast as a Gaussian?
budget: {steps}
settings: {{video: false}}
arms:
  gaussian: {{head: gaussian}}
  bins: {{head: binned, head.bins: 11}}
baseline: gaussian
grid: {{env: InvertedPendulum-v5, seed: 2}}
"""

if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    file = Path("balance.yaml")
    file.write_text(SWEEP.format(steps=steps))
    found = pgcontrol.compare(file, clips="none")  # killed, or run again: it goes on with what is missing
    for row in found.rows():  # pandas.DataFrame(found.rows()) takes them, too
        print(f"{row['arm']:9} seed {row['seed']}: return {row['return']:.1f}, {row['steps']:,} steps")
    for arm in found.summary():
        print(f"{arm['arm']:9} {arm['iqm']:.1f} [{arm['low']:.1f}, {arm['high']:.1f}]")
    print(f"report: {pgcontrol.report(file, clips='none').page}")
