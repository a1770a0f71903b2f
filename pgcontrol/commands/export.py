"""Write a policy as ONNX, for use without this package."""

from pgcontrol.arguments import ExportOptions as Options


def run(options: Options) -> int:
    """The file and its description."""
    from pgcontrol.exporting.export import export

    made = export(options)
    ties = f", {made.parity.ties} ties" if made.parity.ties else ""
    if made.rounded:
        far = f"{made.rounded.otherwise} of {made.parity.observations:,} choose otherwise"
        print(f"float32 inputs move actions by up to {made.rounded.largest_difference:.1g} of the half-range; {far}")
    print(
        f"{made.path}: acts like the policy at {made.parity.observations:,} observations, to"
        f" {made.parity.largest_difference:.1g} of the half-range{ties}; {made.description} says how to use it"
    )
    return 0
