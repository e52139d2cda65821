"""The sources of measurements that a service declares, put together: what replaces the router's log or goes beside."""

from contextlib import AbstractContextManager

from adapters.cloudwatch import CloudWatch
from adapters.compared import Compared
from adapters.docker_engine import Engine
from adapters.docker_stats import DockerStats
from adapters.polling import Asking, Polling
from adapters.prometheus import Prometheus
from adapters.sql_kpi import SqlKpi
from adapters.tick_feed import TickFeed
from domain.canary.roster import Roster
from domain.errors import Invalid
from domain.ports import Samples, Secrets, Workload
from domain.release.measure import CloudWatchSpec, PrometheusSpec, TickFeedSpec
from domain.release.route import Route, Slot
from domain.release.service import Placement, Service


class Measured:
    """Makes the samples of one service's routes, as its file declares them for each environment."""

    def __init__(self, service: Service, workload: Workload, engine: Engine, secrets: Secrets) -> None:
        self._service = service
        self._workload = workload
        self._engine = engine
        self._secrets = secrets

    def __call__(
        self, route: Route, candidate: Slot, log: AbstractContextManager[Samples]
    ) -> AbstractContextManager[Samples]:
        """Put the declared sources around the router's log; without any, it is the log itself.

        Raises Invalid when a source cannot be asked as it is declared, Unavailable when the engine does not answer.
        """
        environment = route.name.removeprefix(f"{self._service.name}-")
        placement = self._service.environments.get(environment)
        if placement is None or placement.measure is None:
            return log
        roster = Roster(route, candidate, self._workload.running(self._service.name, environment))
        beside = self._beside(placement, roster)
        match placement.measure.traffic:
            case TickFeedSpec(url=url, token=token, silence=silence):
                source = Asking(TickFeed(url, self._secrets, roster, token, silence))
                lag = silence + 2
            case PrometheusSpec(interval=interval) as spec:
                source = Asking(Prometheus(spec, self._secrets, roster), min(interval, 5.0))
                lag = 3 * interval + 5
            case CloudWatchSpec(period=period) as spec:
                source = Asking(CloudWatch(spec, roster), max(period, 5.0))
                lag = 3 * period + 180
            case None:
                return Polling(*beside, samples=log) if beside else log
        return Compared(Polling(source, *beside), log, lag)

    def _beside(self, placement: Placement, roster: Roster) -> list[Asking]:
        measure = placement.measure
        if measure is None:
            return []
        found = [Asking(DockerStats(self._engine, roster))] if measure.gauges else []
        for name, spec in measure.kpi.items():
            database = spec.database or placement.database
            if database is None:
                raise Invalid(f"kpi {name}: there is no database", "name one in the service's file")
            found.append(Asking(SqlKpi(name, spec.query, database, self._secrets, roster), spec.every))
        return found
