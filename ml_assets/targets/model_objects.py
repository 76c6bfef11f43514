"""The objects of a model that the chart does not name, made of a template of the chart.

The chart renders, into a ConfigMap, what it would make for a model of its values. Of
that the deployer makes the Deployment of any other model, its Service, autoscaler,
disruption budget, and Ingress or HTTPRoute, by server-side apply under a field manager
of its own. The ConfigMap owns them, so that they go when the release is uninstalled.

A model that the values name stays Helm's, and nothing here touches its objects.
"""

import os
from collections.abc import Collection, Iterable, Mapping

from ml_assets.spec.operation import ServingSpec
from ml_assets.targets.clusters import Cluster, ClusterError, Object
from ml_assets.targets.clusters.objects import ForbiddenError, Objects
from ml_assets.targets.model_template import PARTS, WAYS_IN, objects_of, parts_of

# The field manager of what a deployment writes, and who manages objects made here.
MANAGER = "ml-assets-deployer"
MANAGED_BY = "app.kubernetes.io/managed-by"
# Names the ConfigMap.
VARIABLE = "ML_ASSETS_MODEL_TEMPLATE"
SWITCH = "set modelTemplate.enabled in the values of the chart ml-assets"


class ModelObjects:
    """Makes and removes the objects of models in `cluster`.

    The template is the ConfigMap that ``ML_ASSETS_MODEL_TEMPLATE`` names.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._objects = Objects(cluster)
        self._namespace = cluster.namespace

    def ensure(
        self,
        model: str,
        name: str,
        serving: ServingSpec | None,
        without: Collection[str] = (),
    ) -> None:
        """Apply the objects of `model` as the template has them now.

        It may be repeated: whoever follows a process that died finishes its work. The
        objects of Helm are left alone.

        Parameters
        ----------
        model : str
        name : str
            That of each object.
        serving : ServingSpec, optional
            With the replicas and resources of the YAML; None where there is no YAML,
            and then what is there is left as it is.
        without : collection of str
            Keys of the template that are left as they are.

        Raises
        ------
        ConflictError
            If somebody else set one of the fields to another value.
        ClusterError
            If there is no template, or a right is lacking, with the value to set.
        """
        live = self.read(name)
        if live is not None and (serving is None or not is_ours(live)):
            return
        if live is not None and not os.environ.get(VARIABLE):
            return
        source = self.template(name)
        wanted = objects_of(source, model, serving or ServingSpec(), live)
        self.bring(name, source, wanted, live, without)

    def bring(
        self,
        name: str,
        source: Object,
        wanted: Mapping[str, Object],
        live: Object | None,
        without: Collection[str] = (),
    ) -> None:
        """Apply what a template makes, and delete what it makes no more.

        Parameters
        ----------
        name : str
            That of each object.
        source : dict
            The template.
        wanted : mapping of str to dict
            The objects, as `objects_of` makes them.
        live : dict, optional
            The Deployment as it is.
        without : collection of str
            Keys of the template that are left as they are.
        """
        unwanted = {*parts_of(source)} - {*wanted} - WAYS_IN
        if live is not None and unwanted:
            # First: KEDA refuses a ScaledObject beside an autoscaler.
            self.delete(name, unwanted)
        self.apply({part: wanted[part] for part in wanted if part not in without})

    def remove(self, name: str) -> str:
        """Delete what `ensure` made under this name; what was done or is left to do.

        The Deployment goes last: while it is there, so may be the rest.
        """
        live = self.read(name)
        if live is None:
            return f"there is no Deployment {self._namespace}/{name}"
        if not is_ours(live):
            return (
                f"Deployment {self._namespace}/{name} is Helm's, and serves on: take"
                " the model out of `models` in the values of the chart ml-assets"
            )
        kinds = self.delete(name, PARTS)
        return f"deleted {', '.join(kinds)} {self._namespace}/{name}"

    def read(self, name: str) -> Object | None:
        """The Deployment of this name; None where there is none."""
        return self._objects.read("Deployment", name)

    def apply(self, wanted: Mapping[str, Object]) -> None:
        """Apply objects, by the key of their template; the Deployment last."""
        try:
            for part in PARTS:
                if part in wanted:
                    self._objects.apply(wanted[part], MANAGER)
        except ForbiddenError as error:
            raise _lacking(error) from error

    def delete(self, name: str, parts: Iterable[str]) -> list[str]:
        """Delete the objects of this name; their kinds, as far as the chart has them.

        Parameters
        ----------
        name : str
        parts : iterable of str
            Keys of the template.
        """
        try:
            known = parts_of(self._configured())
            kinds = [PARTS[part] for part in known if part in {*parts}]
            for kind in kinds:
                self._objects.delete(kind, name)
        except ForbiddenError as error:
            raise _lacking(error) from error
        return kinds

    def template(self, name: str) -> Object:
        """The ConfigMap of which the Deployment `name` is made.

        Raises
        ------
        ClusterError
            If none is named or there, or may be read.
        """
        source = os.environ.get(VARIABLE)
        if not source:
            raise ClusterError(
                f"Deployment {self._namespace}/{name} is missing, and {VARIABLE} names"
                f" no ConfigMap to make it of: {SWITCH}, or"
                " name the model among its `models`"
            )
        try:
            found = self._configured()
        except ForbiddenError as error:
            raise _lacking(error) from error
        if found is None:
            raise ClusterError(
                f"ConfigMap {self._namespace}/{source}, which {VARIABLE} names, is"
                " missing: it is of the chart ml-assets"
            )
        return found

    def _configured(self) -> Object | None:
        """The ConfigMap with the template, where one is named and there."""
        source = os.environ.get(VARIABLE)
        return self._objects.read("ConfigMap", source) if source else None


def is_ours(item: Object) -> bool:
    """Whether a deployer made the object, and not Helm.

    Examples
    --------
    >>> is_ours({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}})
    False
    """
    return bool((item["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER)


def _lacking(error: ForbiddenError) -> ClusterError:
    return ClusterError(f"the right is lacking, {SWITCH}: {error}", 403)
