"""What `deployments.local` makes of Serve's word during the start. The imports of Ray warn, and warnings are errors."""

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve import schema

    from deployments.local import NAME, _runs

Deployment = schema.DeploymentStatusOverview
Application = schema.ApplicationStatusOverview
STATUS, TRIGGER, WHOLE = (
    Deployment.__annotations__["status"],
    Deployment.__annotations__["status_trigger"],
    Application.__annotations__["status"],
)


def told(whole: str, status: str, trigger: str) -> schema.ServeStatus:
    encoder = Deployment(STATUS(status), TRIGGER(trigger), {}, "words of Serve's")
    return schema.ServeStatus(applications={NAME: Application(WHOLE(whole), "", 0.0, {"TextEncoder": encoder})})


def test_a_replica_that_dies_while_others_start_is_waited_out() -> None:
    assert not _runs(told("DEPLOY_FAILED", "DEPLOY_FAILED", "HEALTH_CHECK_FAILED"))
    assert not _runs(told("DEPLOYING", "UPDATING", "CONFIG_UPDATE_STARTED"))
    assert _runs(told("RUNNING", "HEALTHY", "UNSPECIFIED"))


def test_a_replica_that_cannot_start_ends_the_service() -> None:
    for trigger in ("REPLICA_STARTUP_FAILED", "CONFIG_UPDATE_STARTED", "UNSPECIFIED"):
        with pytest.raises(RuntimeError, match="TextEncoder can't start: words of Serve's"):
            _runs(told("DEPLOY_FAILED", "DEPLOY_FAILED", trigger))
    with pytest.raises(RuntimeError, match="does not know"):
        _runs(schema.ServeStatus())
