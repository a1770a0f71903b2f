"""Export a policy as ONNX, for use without this package."""

from pgcontrol.arguments import ExportOptions as Options


def run(options: Options) -> int:
    """Write the file and its description."""
    from pgcontrol.exporting.export import export

    made = export(options)
    ties = f", {made.parity.ties} ties" if made.parity.ties else ""
    if made.rounded:
        far = f"at {made.rounded.otherwise} of {made.parity.observations:,} observations, the action differs"
        print(f"float32 inputs change actions by up to {made.rounded.largest_difference:.1g} half-ranges; {far}")
    print(
        f"{made.path}: acts like the policy at {made.parity.observations:,} observations, to within"
        f" {made.parity.largest_difference:.1g} half-ranges{ties}; {made.description} describes how to use it"
    )
    return 0
