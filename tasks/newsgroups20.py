"""20 Newsgroups: to which group was a message posted?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import examples_of, read_rows
from whybench.bench.errors import DataError
from whybench.bench.task import Task, TaskData


class Newsgroups20(Task):
    """Group of Usenet messages, without their headers, quotations and signatures.

    A group is known by its name and never by a number in the data: samples with fewer groups count them anew, so that
    number 2 is one group here and another there. Messages of which nothing is left without header, quotations and
    signature are left out, and counted in the data's ``left_out``. About a tenth of the messages are longer than the
    512 tokens that many models take: these are cut, and counted.

    There is no default model: no public checkpoint with safe weights, a tokenizer and a known commit was found.
    """

    name = "newsgroups20"
    summary = "Newsgroup of Usenet messages, one of twenty."
    labels = (
        "alt.atheism",
        "comp.graphics",
        "comp.os.ms-windows.misc",
        "comp.sys.ibm.pc.hardware",
        "comp.sys.mac.hardware",
        "comp.windows.x",
        "misc.forsale",
        "rec.autos",
        "rec.motorcycles",
        "rec.sport.baseball",
        "rec.sport.hockey",
        "sci.crypt",
        "sci.electronics",
        "sci.med",
        "sci.space",
        "soc.religion.christian",
        "talk.politics.guns",
        "talk.politics.mideast",
        "talk.politics.misc",
        "talk.religion.misc",
    )
    suite = "debate"
    dataset = "SetFit/20_newsgroups"
    dataset_revision = "f1b91292074e7cfb69be58b642d583ec262f30ed"
    default_model = ""
    licence = "unknown (public Usenet messages, research use)"
    citation = "Lang 1995, NewsWeeder: Learning to Filter Netnews"

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the messages; by default the test split.

        Columns: ``text`` and ``label_text`` (or ``label_name``), the group's name.
        """
        columns = {"text": ("text",), "label": ("label_text", "label_name")}
        rows = read_rows(self.dataset, self.dataset_revision, split or "test", columns, data)
        unknown = sorted({str(name) for name in rows.columns["label"]} - set(self.labels))
        if unknown:
            raise DataError(
                f"{', '.join(map(repr, unknown[:3]))}{' and others are' if unknown[3:] else ' is'} not among the "
                f"groups of {self.name}: {', '.join(self.labels)}. Give the groups' names in the column label_text."
            )
        read = examples_of(rows, self.labels)
        kept = [example for example in read if example.text.strip()]
        return TaskData(kept, rows.split, rows.revision, left_out=len(read) - len(kept))
