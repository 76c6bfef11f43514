"""The Pod Security Standard "restricted", as far as a pod can break it."""

from ml_assets_tests.kits.chart import Object, Pod

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
    "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
HOST = ("hostNetwork", "hostPID", "hostIPC")


def violations(pod: Pod) -> list[str]:
    """What the admission controller would say; and a writable root, which we add."""
    found = [f"{key} is set" for key in HOST if pod.spec.get(key)]
    for volume in pod.spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES:
            found.append(f"volume {volume['name']} is a {kinds.pop()}")
    shared = pod.spec.get("securityContext", {})
    for container in pod.containers:
        found += [
            f"container {container['name']}: {reason}"
            for reason in _container(shared | container.get("securityContext", {}))
        ]
        ports = container.get("ports", [])
        found += ["a host port" for port in ports if port.get("hostPort")]
    return found


def _container(context: Object) -> list[str]:
    dropped = context.get("capabilities", {}).get("drop", [])
    added = set(context.get("capabilities", {}).get("add", []))
    seccomp = context.get("seccompProfile", {}).get("type")
    rules = {
        "runs as root or as anybody": context.get("runAsNonRoot") is True
        and context.get("runAsUser", 0) != 0,
        "may gain privileges": context.get("allowPrivilegeEscalation") is False,
        "is privileged": not context.get("privileged", False),
        "keeps capabilities": dropped == ["ALL"] and added <= {"NET_BIND_SERVICE"},
        "has no seccomp profile": seccomp in ("RuntimeDefault", "Localhost"),
        "can write its root": context.get("readOnlyRootFilesystem") is True,
        "masks nothing of /proc": context.get("procMount", "Default") == "Default",
    }
    return [reason for reason, kept in rules.items() if not kept]
