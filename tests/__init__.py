"""The tests.  A busy machine is no fault: no property fails for the time that it takes."""

from hypothesis import HealthCheck, settings

from tests import given_ports

given_ports.watch()
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
