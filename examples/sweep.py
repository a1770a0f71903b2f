"""Compare two heads over seeds from Python: run what is missing, read the rows, write the report again."""

import sys
from pathlib import Path

import pgcontrol

SWEEP = """
question: Does binned learn to balance as fast as gaussian?
budget: {steps}
settings: {{video: false}}
arms:
  gaussian: {{head: gaussian}}
  binned: {{head: binned, head.bins: 11}}
baseline: gaussian
grid: {{env: InvertedPendulum-v5, seed: 2}}
"""

if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    file = Path("balance.yaml")
    file.write_text(SWEEP.format(steps=steps))
    found = pgcontrol.compare(file, clips="none")  # a second call runs only what is missing
    for row in found.rows():  # or pandas.DataFrame(found.rows())
        print(f"{row['arm']:9} seed {row['seed']}: return {row['return']:.1f}, {row['steps']:,} steps")
    for arm in found.summary():
        print(f"{arm['arm']:9} {arm['iqm']:.1f} [{arm['low']:.1f}, {arm['high']:.1f}]")
    print(f"report: {pgcontrol.report(file, clips='none').page}")
