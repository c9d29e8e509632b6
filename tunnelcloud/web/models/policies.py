"""Models of policies."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunnelcloud.domain.objects import POLICY
from tunnelcloud.web.models.fields import NamedQuery, Order
from tunnelcloud.web.models.object_models import change_model, new_model, shown_model

Policy = shown_model(POLICY, "Policy", "Conditions that must all hold.")
NewPolicy = new_model(POLICY, "NewPolicy", "Makes a policy.")
PolicyChange = change_model(POLICY, "PolicyChange", "Changes a policy.")


class PolicyQuery(NamedQuery):
    """Asks for policies."""

    sort: Annotated[str, Order("used")] = "created_at"
    used: bool | None = Field(
        default=None, description="Those that assignments use, or unused ones."
    )
