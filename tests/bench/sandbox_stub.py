"""A worker without a model, so that what a stranger's code may do can be tried in a tenth of a second."""

import runpy


def work(job, folder):
    """Run the stranger's file; its ``answer`` is the answer."""

    def strange():
        return runpy.run_path(str(folder / "strange.py"), {"outside": job.get("outside")})["answer"]

    return strange
