"""What voila.json cannot hold of Voila's settings. Voila reads both, alone and as a part of Binder's server."""

from typing import Any

from jupyter_client.session import utcnow
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager


class KernelsOfPages(AsyncMappingKernelManager):
    """Counts the time until an unused kernel is ended from when its page has gone."""

    def notify_disconnect(self, kernel_id: str) -> None:
        super().notify_disconnect(kernel_id)
        if kernel_id in self:
            self._kernels[kernel_id].last_activity = utcnow()


def give_token(handler: Any, notebook: Any, cwd: str) -> None:
    """Set the cookie without which the server refuses the page's request to end its kernel."""
    handler.xsrf_token  # noqa: B018  (reading it sets the cookie)


c = get_config()  # noqa: F821
c.VoilaConfiguration.prelaunch_hook = give_token
c.VoilaConfiguration.multi_kernel_manager_class = KernelsOfPages
