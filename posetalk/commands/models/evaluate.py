"""`posetalk evaluate`: the paper's table 1 for any set of bundles, or the page on one of them."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro

from head.new_file import new_file
from posetalk.commands.options import Debug
from posetalk.terminal.tyro_options import one_of

DEFAULT_SETS = ("sentences", "known-voice")
Report = Literal["mouths", "mouths-judged", "life", "outside", "choosers"]


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure bundles on held-out speech as the paper does, beside baselines.

    With --page, one bundle is measured in every other way as well: under noise, by its gestures
    and styles, on real faces and over a long time, and the page on it is written. Needs the
    project's speech data (the folder that POSETALK_DATA names).
    """

    bundles: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="starter|DIR ...", help_behavior_hint="(default: starter)"),
    ] = ()
    """Bundles by name or folder, each measured at its own live defaults."""
    set: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="SET|DIR ...",
            help="What is spoken: `sentences` and `words` of voices that were held out whole, "
            "`known-voice` with new sentences; or one dataset in the released layout, DIR or "
            "DIR:val, with recorded motion (its styles come from each bundle's style encoder).",
        ),
    ] = DEFAULT_SETS
    table: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)")
    ] = None
    """Also the baselines and ablations that `posetalk train ablations` left in this folder."""
    mode: Literal["live", "paper"] = "live"
    """Sample the bundles live, or whole clips at once as the released code does."""
    sampler: Literal["ancestral", "dpm++"] = "ancestral"
    """Of paper mode: all trained steps, or DPM-Solver++ in few."""
    steps: Annotated[
        int | None, tyro.conf.arg(metavar="K", help_behavior_hint="(default: 20 for dpm++)")
    ] = None
    """Of paper mode: network calls."""
    clips: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: 12; with --page all)")
    ] = None
    """Clips of each set; each is labelled in a speaking style of its own."""
    frames: Annotated[int, tyro.conf.arg(metavar="N")] = 100
    """Frames of each clip, 25 a second."""
    runs: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """Samples of each clip, which differ in their noise alone."""
    output: Annotated[
        tuple[Path, ...],
        tyro.conf.arg(
            aliases=["-o"],
            metavar="OUT.json|OUT.md ...",
            help="Files to write: .json holds every figure (rows that it already has are not "
            "measured again), .md the tables.",
            help_behavior_hint="(default: none)",
        ),
    ] = ()
    page: Annotated[
        Path | None, tyro.conf.arg(metavar="OUT.md", help_behavior_hint="(default: none)")
    ] = None
    """Measure one bundle in full instead, and write the page on it, as docs/starter.md is."""
    reverse: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)")
    ] = None
    """Of --page: a bundle that was trained without the single speaker, to be measured on her;
    without one, a page keeps what it says of an earlier one."""
    minutes: Annotated[int, tyro.conf.arg(metavar="N")] = 10
    """Of --page: length of the long run; 0 leaves it out. Of --report life: of the speech."""
    report: Annotated[
        Report | None,
        one_of(*get_args(Report)),
        tyro.conf.arg(
            metavar="mouths|mouths-judged|life|outside|choosers",
            help="One other report: labels beside real mouths (of the man that they were fitted "
            "to, or of the people who only judge), heads, eyes and lids of the labels or of a "
            "bundle, or a bundle on corpora, levels, lines and rooms that it never heard: of the "
            "corpora that judge, or of the people by whom one chooses.",
            help_behavior_hint="(default: none)",
        ),
    ] = None
    watch: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: none)")
    ] = None
    """Films and strips of 20 clips to watch blindly, into a new folder: the bundle beside the
    tracked lips of the people who speak. With its answers.csv filled in, count the answers."""
    against: Annotated[
        str | None, tyro.conf.arg(metavar="BUNDLE", help_behavior_hint="(default: none)")
    ] = None
    """Of --watch: another bundle, beside the first."""
    debug: Debug = False

    def run(self) -> int:
        if self.watch is not None or self.against is not None:
            return self._watch()
        if self.report is not None:
            return self._report(self.report)
        if self.page is not None:
            return self._write_page(self.page)
        return self._measure_table()

    def _watch(self) -> int:
        """Make clips to watch, or count what was answered."""
        from posetalk.app.film.watched import watch
        from posetalk.terminal.console import UsageError

        if self.watch is None:
            raise UsageError("--against goes with --watch")
        if len(self.bundles) > 1 or self.page or self.table or self.output or self.report:
            raise UsageError("--watch goes with at most one bundle, and --against another")
        bundles = [(*self.bundles, "starter")[0]]
        if self.against is not None and self.against not in bundles:
            bundles.append(self.against)
        return watch(self.watch, bundles)

    def _report(self, name: Report) -> int:
        """Print one report."""
        from posetalk.terminal.console import UsageError

        if len(self.bundles) > 1 or self.page or self.table or self.output:
            raise UsageError("--report goes with at most one bundle, and is printed alone")
        bundle = self.bundles[0] if self.bundles else None
        if name == "life":
            from training.reports import life_report

            life_report.main(life_report.LifeReportSettings(bundle, minutes=self.minutes))
        elif name in ("outside", "choosers"):
            from training.reports import outside_report

            outside = outside_report.OutsideReportSettings(bundle=bundle or "starter")
            if name == "choosers":
                outside = dataclasses.replace(outside, corpora=("choosers",), levels=False)
            outside_report.main(outside)
        else:
            from training.reports import mouth_report

            judge = name == "mouths-judged"
            mouth_report.main(mouth_report.MouthReportSettings(judge=judge, bundle=bundle))
        return 0

    def _write_page(self, page: Path) -> int:
        """Measure one bundle in every way, print the tables, and write the page."""
        from posetalk.terminal.console import UsageError
        from training.reports import starter_report

        if len(self.bundles) > 1:
            raise UsageError("--page: one bundle")
        of_table = (self.table, self.output or None, self.steps)
        if any(it is not None for it in of_table) or self.mode == "paper":
            raise UsageError("--page goes without --table, --mode, --steps and --output")
        if self.set != DEFAULT_SETS:
            raise UsageError("--page is about every set: leave --set out")
        settings = starter_report.ReportSettings(
            (*self.bundles, "starter")[0], minutes=self.minutes, reverse=self.reverse, page=page
        )
        if self.clips is not None:
            settings = dataclasses.replace(settings, clips=self.clips)
        starter_report.main(settings)
        return 0

    def _measure_table(self) -> int:
        """Measure bundles as the paper does; print the table, and write it where asked for."""
        from head.rig import load_head
        from posetalk.terminal.console import UsageError, say
        from posetalk.terminal.progress import working
        from training.evaluation.face import Face
        from training.evaluation.paper_table import candidates, table
        from training.reports.starter_report import environment

        if self.reverse is not None:
            raise UsageError("--reverse goes with --page")
        if not 2 <= self.runs <= 100:
            raise UsageError(f"--runs {self.runs}: 2 to 100, as intervals are over runs")
        if (self.clips is not None and self.clips < 1) or self.frames < 25:
            raise UsageError("--clips and --frames: at least a clip, and 25 frames of it")
        for path in self.output:
            if path.suffix not in (".json", ".md"):
                raise UsageError(f"{path}: the table is written as .json or .md")
        known = None
        for path in self.output:
            if path.suffix == ".json" and path.is_file():
                known = table.read_result(path)
        if self.mode == "live" and (self.steps is not None or self.sampler != "ancestral"):
            raise UsageError(
                "--sampler and --steps are of --mode paper; live settings are the bundle's"
            )
        mode = candidates.Mode(self.mode, self.sampler, self.steps)
        bundles = self.bundles or (() if self.table else ("starter",))
        with working("reading clips and bundles"):
            clips, head_id = self._clips()
            rows = candidates.candidates(bundles, self.table, head_id, mode)
            face = Face.of(load_head(head_id))
        head: dict[str, Any] = {"environment": environment()}
        if self.table:
            head["budget"] = json.loads((self.table / candidates.BUDGET).read_text("utf-8"))
        result = table.make_table(
            rows,
            clips,
            self.runs,
            head=head,
            face=face,
            known=known,
            progress=lambda told: say(f"measuring: {told}"),
            save=self._write,
        )
        _show(result)
        return 0

    def _clips(self) -> tuple[list[Any], str]:
        """The clips that --set asks for, and the head that their labels move."""
        from head.rig import BUILTIN_ID
        from posetalk.terminal.console import UsageError
        from training.evaluation.clips import SETS, held_out_clips

        clips = 12 if self.clips is None else self.clips
        folders = [name for name in self.set if name not in SETS and os.sep in name]
        folders += [
            name
            for name in self.set
            if name not in SETS
            and name not in folders
            and Path(name.rpartition(":")[0] or name).is_dir()
        ]
        if not folders:
            return held_out_clips(self.set, clips, self.frames), BUILTIN_ID
        if len(self.set) > 1:
            raise UsageError("--set: one dataset, or names of sets")
        from training.evaluation.recorded_clips import dataset_clips

        return dataset_clips(folders[0], clips, self.frames)

    def _write(self, result: dict[str, Any]) -> None:
        """Write what there is so far, beside the old files first."""
        from training.evaluation.paper_table import table

        for path in self.output:
            if path.suffix == ".json":
                text = json.dumps(result, indent=1) + "\n"
            else:
                text = "\n\n".join(
                    table.markdown(result, columns)
                    for columns in (table.COLUMNS, table.OTHER_CONVENTIONS)
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(path) as part:
                part.write_text(text + "\n", "utf-8")


def _show(result: dict[str, Any]) -> None:
    """Print the tables."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from training.evaluation.paper_table import table

    console = Console()
    arrows = {-1: " ↓", 0: "", 1: " ↑"}
    for title, columns in (
        ("The paper's table 1, on this data", table.COLUMNS),
        ("The same in the conventions of other scripts", table.OTHER_CONVENTIONS),
    ):
        shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        shown.add_column("", no_wrap=True)
        for heading, way, _ in columns.values():
            shown.add_column(heading + arrows[way], justify="right")
        group = None
        for row in result["rows"]:
            if row["group"] != group:
                group = row["group"]
                shown.add_section()
                shown.add_row(f"[italic]{group}[/italic]")
            shown.add_row(
                row["told"],
                *(table.cell(row, name, digits) for name, (_, _, digits) in columns.items()),
            )
        console.print(shown)
    console.print(
        f"{len(result['clips'])} clips of {result['frames']} frames, {result['runs']} runs, "
        "95 % intervals over runs."
        + ("" if ":" in result["sets"][0] else " Labels are made by a model, nobody's face.")
    )
