"""Stories of bAbI told anew, of other people, places and things."""

from collections.abc import Sequence

import numpy as np

from keras_dnc.tasks.task import Batch

# What may stand for each other in a story, with all forms of a word. Men and
# women are apart, since there is "he" and "she".
PLACES = (
    *("bathroom", "bedroom", "cinema", "garden", "hallway", "kitchen"),
    *("office", "park", "school"),
)
THINGS = ("apple", "football", "milk")
KINDS = (
    ("bill", "daniel", "fred", "jeff", "john"),
    ("julie", "mary", "sandra"),
    ("antoine", "jason", "sumit", "yann"),
    ("bernhard", "brian", "greg", "julius", "lily"),
    ("emily", "gertrude", "jessica", "winona"),
    ("cat cats", "mouse mice", "wolf wolves"),
    ("frog", "lion", "rhino", "swan"),
    ("gray", "green", "white", "yellow"),
    PLACES,
    THINGS,
)
# Who is so goes to a place and takes a thing that are always the same.
MOODS = ("bored", "hungry", "thirsty", "tired")


def renamed(
    batch: Batch, vocabulary: Sequence[str], rng: np.random.Generator
) -> Batch:
    """Returns stories whose people, places and things are exchanged.

    In each story those of a kind that any of the stories has change places at
    random, each word throughout the story, its questions and their answers. So
    all that was true of one is true of another. Places and things stay as they
    are in stories about moods, that lead to certain ones.

    Args:
        batch: Word numbers, shape `(B, T)`.
        vocabulary: The word of each number.
        rng: Where the exchanges are drawn from.

    Returns:
        A `Batch` of the same lengths.
    """
    told = np.union1d(batch.inputs, batch.targets)
    number = {vocabulary[i]: i for i in told}
    count = len(batch.inputs)
    moods = [number[mood] for mood in MOODS if mood in number]
    has_mood = np.isin(batch.inputs, moods).any(-1)
    # Of each story what each word becomes.
    becomes = np.tile(
        np.arange(len(vocabulary), dtype=batch.inputs.dtype), (count, 1)
    )
    for kind in KINDS:
        words = [member.split() for member in kind]
        forms = np.array(
            [
                [number[x] for x in word]
                for word in words
                if {*word} <= {*number}
            ]
        )
        if not len(forms):
            continue
        order = np.tile(np.arange(len(forms)), (count, 1))
        order = rng.permuted(order, axis=1)
        if kind in (PLACES, THINGS):
            order[has_mood] = np.arange(len(forms))
        becomes[:, forms] = forms[order]
    inputs, targets = (
        np.take_along_axis(becomes, part, axis=1) for part in batch[:2]
    )
    return Batch(inputs, np.where(batch.weights, targets, 0), batch.weights)
