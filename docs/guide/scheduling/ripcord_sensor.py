"""An Airflow sensor that lets a DAG go on when there is budget, by the gateway of Ripcord. Put it into `plugins/` or beside the DAG.

    wait = RipcordBudgetSensor(task_id="budget", calls=500, poke_interval=60, timeout=6 * 3600)
    wait >> batch
"""

import json
import urllib.error
import urllib.parse
import urllib.request

from airflow.exceptions import AirflowFailException

try:
    from airflow.sdk.bases.sensor import BaseSensorOperator  # Airflow 3
except ImportError:
    from airflow.sensors.base import BaseSensorOperator  # Airflow 2


class RipcordBudgetSensor(BaseSensorOperator):
    """Succeeds when the gateway says that the work fits.

    A gateway that cannot be reached raises, so that the task's retries decide. A question that cannot be answered,
    such as one about a model that does not exist, fails the task for good.
    """

    template_fields = ("gateway", "calls", "model", "account")

    def __init__(self, *, gateway="http://127.0.0.1:8790", calls=None, model=None, account=None, **kwargs):
        # The worker's slot is free while it waits: windows are hours long.
        kwargs.setdefault("mode", "reschedule")
        super().__init__(**kwargs)
        self.gateway = gateway
        self.calls = calls
        self.model = model
        self.account = account

    def poke(self, context):
        asked = {"gate": "1", "priority": "batch", "calls": self.calls, "model": self.model, "account": self.account}
        query = urllib.parse.urlencode({name: value for name, value in asked.items() if value is not None})
        try:
            with urllib.request.urlopen(f"{self.gateway}/-/budget?{query}", timeout=30):
                return True
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", "replace")
            if error.code == 503:
                again = json.loads(said).get("ask_again_seconds")
                self.log.info("no budget yet; asking again makes sense in %s s", again)
                return False
            if error.code in (400, 404):
                raise AirflowFailException(f"the gateway cannot answer: {said}") from error
            raise
