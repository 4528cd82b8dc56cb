"""Plain words for the parts of a text that decide nothing.

None is a colour, a shape, a number, a negation or a word of praise or blame, so that tasks can plant those.
"""

from __future__ import annotations

_TEXT = """
apple arrow autumn bakery basket beach bench bicycle blanket boat bottle bread bridge brother bucket butter button
cabin camera candle captain carpet castle cellar chair chimney church circus coffee collar copper corner cotton
cousin cradle curtain desert dinner doctor drawer driver engine evening farmer fence ferry finger forest fountain
garden garlic glove guitar hammer harbour hotel island jacket journey kettle kitchen ladder lantern lemon letter
library market meadow mirror monday morning mountain museum napkin needle neighbour office onion orchard paper
parcel pencil pepper piano pillow pocket potato rabbit railway river saddle sailor salad school shelf shoulder
sister spoon spring stable station sugar summer teacher temple thread ticket timber tower tractor train tunnel
uncle valley village violin wagon water weather whistle window winter yard
arrives asks borrows brings builds calls carries climbs collects cooks counts crosses delivers draws drops enters
fetches fills finds follows gathers holds keeps knocks leaves lifts listens looks mends moves opens packs paints
passes plants points pours pulls pushes reads reaches rents rides sells sends sits sleeps stands sweeps takes
talks travels turns visits waits walks washes watches writes
again almost already behind beside between every often other outside perhaps quietly slowly sometimes soon
their there through today toward under upstairs where while with yesterday
"""

FILLERS: tuple[str, ...] = tuple(_TEXT.split())
