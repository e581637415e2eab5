"""Sign-in and out, the profile with its roles, API tokens."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, TemplateView, View

from apps.accounts import selectors, services
from apps.accounts.forms import PasswordForm, SignInForm, TokenForm
from apps.accounts.models import ApiToken, Membership, User
from apps.core import clock
from apps.core.errors import NotAuthenticated, RateLimited
from apps.core.permissions import Role, can
from apps.core.web.http import go_to, safe_next
from apps.core.web.views import ActorMixin, ServiceActionView, ServiceFormView, VisibleListView

ROLE_HELP: dict[str, str] = {
    Role.VIEWER: "sees the team's things",
    Role.RESEARCHER: "datasets, models, training, evaluations",
    Role.DATA_ENGINEER: "datasets and their checks; starts evaluations",
    Role.ML_ENGINEER: "models, training, evaluations, endpoints",
    Role.SERVICE_DEVELOPER: "endpoints, external models and calls to them",
    Role.PROMPT_DESIGNER: "prompts, experiments, evaluations",
    Role.REVIEWER: "approves, rejects or asks for changes; never on their own work",
    Role.OPERATOR: "capacity, quotas, prices; stops jobs and endpoints",
    Role.AUDITOR: "reads everything, changes nothing",
    Role.ADMIN: "people, teams, policies",
}


@method_decorator(
    [login_not_required, never_cache, sensitive_post_parameters("password")],
    name="dispatch",
)
class SignInView(FormView):
    """The sign-in page. The wait after failures is the service's rule; the page only tells it."""

    template_name = "accounts/sign_in.html"
    form_class = SignInForm

    def get_next(self) -> str:
        """Where the person wanted to go."""
        wanted = self.request.POST.get("next") or self.request.GET.get("next")
        return safe_next(self.request, wanted, resolve_url(settings.LOGIN_REDIRECT_URL))

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form; whoever is signed in already goes on."""
        if request.user.is_authenticated:
            return redirect(self.get_next())
        return super().get(request, *args, **kwargs)

    def form_valid(self, form: SignInForm) -> HttpResponse:
        """Hand name and password to the service."""
        try:
            services.sign_in(request=self.request, **form.cleaned_data)
        except (NotAuthenticated, RateLimited) as error:
            form.add_error(None, error.message)
            response = self.form_invalid(form)
            response.status_code = error.status_code
            if isinstance(error, RateLimited):
                response.headers["Retry-After"] = str(error.retry_after)
            return response
        return redirect(self.get_next())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Also says how anybody gets in on an empty portal, and where the demo's passwords are."""
        context = super().get_context_data(**kwargs)
        context["next"] = self.get_next()
        context["nobody_yet"] = not User.objects.filter(is_active=True).exists()
        context["demo_file"] = (settings.VAR_DIR / "demo.json").exists()
        return context


class SignOutView(View):
    """POST ends the session."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest) -> HttpResponse:
        """End it and say so."""
        services.sign_out(request=request)
        return go_to(request, reverse("accounts:sign-in"), "You are signed out.", "info")


class ProfileView(ActorMixin, TemplateView):
    """Who I am and which roles I hold where."""

    template_name = "accounts/profile.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Memberships by team, organisation first."""
        context = super().get_context_data(**kwargs)
        groups: dict[str, list[dict[str, str]]] = {}
        rows = Membership.objects.filter(user=self.actor).select_related("team").order_by("team__name", "role")
        for row in sorted(rows, key=lambda item: item.team is not None):
            place = row.team.name if row.team else "Whole organisation"
            role = {"role": row.role, "label": row.get_role_display(), "help": ROLE_HELP.get(row.role, "")}
            groups.setdefault(place, []).append(role)
        tokens = ApiToken.objects.filter(user=self.actor, bound_type="", revoked_at=None)
        context |= {"groups": groups, "token_count": tokens.filter(expires_at__gt=clock.now()).count()}
        return context


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class PasswordView(ServiceFormView):
    """Changes one's own password."""

    template_name = "accounts/password_form.html"
    form_class = PasswordForm

    def perform(self, form: Any) -> User:
        """Hand both passwords to the service."""
        return services.password_change(request=self.request, **form.cleaned_data)

    def succeeded(self, form: Any) -> HttpResponse:
        """Back to the profile."""
        return go_to(
            self.request,
            reverse("accounts:profile"),
            "Your password is changed. Other browsers that were signed in as you have to sign in again.",
        )


class TokenListView(VisibleListView):
    """My API tokens; those who manage tokens can switch to everybody's."""

    template_name = "accounts/token_list.html"

    def get_visible(self) -> QuerySet[ApiToken]:
        """Mine, or everybody's with ?all=1."""
        tokens = selectors.tokens_visible_to(self.actor)
        return tokens if self.shows_all else tokens.filter(user=self.actor)

    @property
    def shows_all(self) -> bool:
        """Whether everybody's tokens were asked for by somebody who may see them."""
        return self.request.GET.get("all") == "1" and can(self.actor, "token.manage")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Adds the moment that separates valid from expired."""
        context = super().get_context_data(**kwargs)
        manages = can(self.actor, "token.manage")
        context |= {"now": clock.now(), "shows_all": self.shows_all, "manages_tokens": manages}
        return context


@method_decorator(never_cache, name="dispatch")
class TokenCreateView(ServiceFormView):
    """Makes a token and shows its value, this once."""

    template_name = "accounts/token_form.html"
    form_class = TokenForm

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form offers the actor's teams."""
        return {**super().get_form_kwargs(), "actor": self.actor}

    def perform(self, form: Any) -> services.IssuedToken:
        """Make it."""
        return services.token_create(actor=self.actor, **form.cleaned_data)

    def succeeded(self, form: Any) -> HttpResponse:
        """No redirect: the value must not be kept anywhere, not even in the session."""
        context = {"issued": self.result, "portal_url": self.request.build_absolute_uri("/").rstrip("/")}
        response = self.response_class(
            request=self.request,
            template=["accounts/token_created.html"],
            context=context,
            using=self.template_engine,
        )
        response.headers["Cache-Control"] = "no-store"
        return response


class TokenRevokeView(ServiceActionView):
    """Makes a token worthless."""

    success_message = "The token is revoked. Calls with it are refused from now on."
    failure_url = "/account/tokens/"

    def perform(self) -> ApiToken:
        """Revoke it."""
        return services.token_revoke(actor=self.actor, token_id=self.kwargs["pk"])
