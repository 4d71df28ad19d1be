"""What Ray would find on this machine, without a start of it."""

from ray.util import get_node_ip_address


def node_resources(object_store_bytes: int) -> dict[str, float]:
    """By Ray's names: CPU (as the control group allows), GPU, memory, custom ones."""
    from ray._private.resource_and_label_spec import ResourceAndLabelSpec

    spec = ResourceAndLabelSpec(object_store_memory=object_store_bytes)
    found: dict[str, float] = spec.resolve(is_head=True, node_ip_address=get_node_ip_address()).to_resource_dict()
    return found
