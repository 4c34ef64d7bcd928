"""The parts that a handler can ask for by the name of its argument (`wiring.Parts`), as types for its signature."""

from litestar.di import NamedDependency

from libs.common.observability.metrics import Metrics
from libs.common.observability.probes import Check
from libs.common.templates.catalogue import Catalogue
from services.api.accepting import Events
from services.api.changing import Subscribers
from services.api.feed import Feed
from services.api.limiting.limits import Limits
from services.api.notifications import Notifications
from services.api.notifying import Notifying
from services.api.people import People
from services.api.ports import SuppressionStore
from services.api.progress import EventProgress
from services.api.receipts import Receipts
from services.api.resolving import Resolving
from services.api.security.access import Access
from services.api.settings import ApiSettings
from services.api.wiring import NewId

GivenAccess = NamedDependency[Access]
GivenChecks = NamedDependency[dict[str, Check]]
GivenEventProgress = NamedDependency[EventProgress]
GivenEvents = NamedDependency[Events]
GivenFeed = NamedDependency[Feed]
GivenLimits = NamedDependency[Limits]
GivenMetrics = NamedDependency[Metrics]
GivenNewId = NamedDependency[NewId]
GivenNotifications = NamedDependency[Notifications]
GivenNotifying = NamedDependency[Notifying]
GivenPeople = NamedDependency[People]
GivenReceipts = NamedDependency[Receipts]
GivenResolving = NamedDependency[Resolving]
GivenSettings = NamedDependency[ApiSettings]
GivenSubscribers = NamedDependency[Subscribers]
GivenSuppressions = NamedDependency[SuppressionStore]
GivenTemplates = NamedDependency[Catalogue]
