"""PanDA's error codes with their texts, each under a word that a scenario may use; the only place that knows them.

Source: recordings ``seed_list``, ``failed``, ``killed`` (1305, 1137, 100). Not recorded: the other numbers and the
pilot's texts are those of pilot 3's documentation (``pilot.common.errorcodes``), the dispatcher's those of panda-server
1.0; of ``ddm``, ``taskBuffer``, ``brokerage`` and ``sup`` the numbers are PanDA's, the texts partly ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Component = Literal["pilot", "exe", "sup", "ddm", "brokerage", "jobDispatcher", "taskBuffer"]
COMPONENTS: tuple[Component, ...] = ("pilot", "exe", "sup", "ddm", "brokerage", "jobDispatcher", "taskBuffer")

PAYLOAD_FAILED = 1305
STAGE_IN_FAILED = 1099
STAGE_OUT_FAILED = 1137
BAD_INPUT = 1171
LOST_HEARTBEAT = 102
"""As the production's own reports name it. In panda-server's list 102 is `sent` without reply, 100 the watcher's."""
KILLED = 100
ADDER_FAILED = 200


@dataclass(frozen=True)
class ErrorCode:
    """One code of one part of PanDA; `exit_code` is the payload's where the payload has one."""

    component: Component
    code: int
    text: str
    exit_code: int = 0


ERRORS: dict[str, ErrorCode] = {
    "general_failure": ErrorCode("pilot", 1008, "General pilot error, consult batch log"),
    "no_local_space": ErrorCode("pilot", 1098, "Not enough local space"),
    "stage_in_failed": ErrorCode("pilot", STAGE_IN_FAILED, "Failed to stage-in file"),
    "replica_not_found": ErrorCode("pilot", 1100, "Replica not found"),
    "no_such_file": ErrorCode("pilot", 1103, "No such file or directory"),
    "log_too_big": ErrorCode("pilot", 1106, "Payload log or stdout file too big"),
    "setup_failed": ErrorCode("pilot", 1110, "Failed during payload setup"),
    "output_too_large": ErrorCode("pilot", 1124, "Output file too large"),
    "stage_out_failed": ErrorCode("pilot", STAGE_OUT_FAILED, "Failed to stage-out file"),
    "killed_by_server": ErrorCode("pilot", 1144, "This job was killed by panda server"),
    "looping_job": ErrorCode("pilot", 1150, "Looping job killed by pilot"),
    "stage_in_timed_out": ErrorCode("pilot", 1151, "File transfer timed out during stage-in"),
    "stage_out_timed_out": ErrorCode("pilot", 1152, "File transfer timed out during stage-out"),
    "missing_output": ErrorCode("pilot", 1165, "Local output file is missing"),
    "input_checksum": ErrorCode("pilot", BAD_INPUT, "adler32 mismatch on input file"),
    "output_checksum": ErrorCode("pilot", 1172, "adler32 mismatch on output file"),
    "kill_signal": ErrorCode("pilot", 1200, "Job terminated by unknown kill signal"),
    "sigterm": ErrorCode("pilot", 1201, "Job killed by signal: SIGTERM"),
    "sigquit": ErrorCode("pilot", 1202, "Job killed by signal: SIGQUIT"),
    "sigsegv": ErrorCode("pilot", 1203, "Job killed by signal: SIGSEGV"),
    "sigxcpu": ErrorCode("pilot", 1204, "Job killed by signal: SIGXCPU"),
    "sigbus": ErrorCode("pilot", 1206, "Job killed by signal: SIGBUS"),
    "out_of_memory": ErrorCode("pilot", 1212, "Payload ran out of memory", 137),
    "time_limit": ErrorCode("pilot", 1213, "Reached batch system time limit"),
    "unknown_payload_failure": ErrorCode("pilot", 1220, "Job failed due to unknown reason (consult log file)", 1),
    "too_much_memory": ErrorCode("pilot", 1235, "Payload exceeded maximum allowed memory", 137),
    "payload_failed": ErrorCode("pilot", PAYLOAD_FAILED, "Failed to execute payload", 65),
    "image_mount_failed": ErrorCode("pilot", 1309, "Singularity/Apptainer: Failed to mount image"),
    "rucio_unavailable": ErrorCode("pilot", 1316, "Rucio: Service unavailable"),
    "server_not_reached": ErrorCode("pilot", 1318, "Failed to communicate with server"),
    "segmentation_fault": ErrorCode("pilot", 1328, "SIGSEGV: Invalid memory reference or a segmentation fault", 139),
    "missing_input": ErrorCode("pilot", 1331, "Input file is missing in storage element"),
    "black_hole": ErrorCode("pilot", 1332, "Black hole detected in file system (consult Pilot log)"),
    "no_remote_space": ErrorCode("pilot", 1333, "No space left on device"),
    "empty_output": ErrorCode("pilot", 1350, "Empty output file detected"),
    "core_dump": ErrorCode("pilot", 1355, "Core dump detected", 134),
    "image_not_found": ErrorCode("pilot", 1360, "Image not found"),
    "remote_file_not_opened": ErrorCode("pilot", 1361, "Remote file could not be opened"),
    "cvmfs_not_alive": ErrorCode("pilot", 1377, "CVMFS is not responding"),
    "preempted": ErrorCode("pilot", 1379, "Job was preempted"),
    "lost_heartbeat": ErrorCode("jobDispatcher", LOST_HEARTBEAT, "lost heartbeat : {last}"),
    "no_reply_from_pilot": ErrorCode("jobDispatcher", 102, "Sent job didn't receive reply from pilot within 30 min"),
    "recovery_failed": ErrorCode("jobDispatcher", 101, "job recovery failed for 3.0 hours"),
    "timeout_in_holding": ErrorCode("jobDispatcher", 103, "timeout in holding : last heartbeat at {last}"),
    "timeout_in_transferring": ErrorCode("jobDispatcher", 104, "timeout in transferring : last heartbeat at {last}"),
    "killed": ErrorCode("taskBuffer", KILLED, "killed by JEDI"),
    "transfer_timed_out": ErrorCode("taskBuffer", 101, "transfer timeout"),
    "expired": ErrorCode("taskBuffer", 102, "expired in activated. status unchanged since {last}"),
    "aborted": ErrorCode("taskBuffer", 103, "aborted by ExtIF"),
    "reassigned": ErrorCode("taskBuffer", 105, "reassigned by JEDI"),
    "retried": ErrorCode("taskBuffer", 106, "retrying at another site"),
    "lost_file": ErrorCode("taskBuffer", 110, "input file is lost"),
    "setup_at_server_failed": ErrorCode("ddm", 100, "Setupper failed to prepare the job"),
    "adder_failed": ErrorCode("ddm", ADDER_FAILED, "Could not add files to DDM"),
    "subscription_failed": ErrorCode("ddm", 201, "failed to make a subscription"),
    "location_failed": ErrorCode("ddm", 203, "failed to register the location"),
    "missing_events": ErrorCode("ddm", 204, "number of events is missing in the job's report"),
    "release_not_found": ErrorCode("brokerage", 100, "release is not found at the site"),
    "worker_already_done": ErrorCode("sup", 100, "worker already finished at {last} with no message"),
}
"""Errors by the word a scenario uses. ``{last}`` stands for the last sign of life."""


def text_of(component: Component, code: int) -> str:
    """Text of a code as PanDA words it, or empty when the code is not in the table."""
    return next((one.text for one in ERRORS.values() if (one.component, one.code) == (component, code)), "")
