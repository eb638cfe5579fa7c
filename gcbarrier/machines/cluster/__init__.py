"""Other machines, as Dask's workers: each a ``concurrent.futures.Executor`` whose jobs run in fresh processes there.

``workers`` asks a scheduler for its workers and says which of them are machines to measure on, ``executor`` sends jobs
to one of these, ``there`` is what goes on in the worker's process, and ``luggage`` is what travels: plug-ins, graphs,
and the digest by which both ends know that they run the same code. Nothing here distributes: Dask does, and its package
(``pip install 'gcbarrier[dask]'``) is imported where it is needed and not before.
"""

from gcbarrier.machines.cluster.executor import DaskExecutor, MachineLost
from gcbarrier.machines.cluster.workers import Cluster, connect

__all__ = ["Cluster", "DaskExecutor", "MachineLost", "connect"]
