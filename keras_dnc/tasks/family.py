"""Family inference: hear who is whose parent, child and sibling; infer more."""

import dataclasses
import functools

import numpy as np

from keras_dnc.tasks.graphs import NONE, Graph, random_place
from keras_dnc.tasks.task import option
from keras_dnc.tasks.triples import LABELS, Questions, TriplesTask

TOLD = ("father", "mother", "son", "daughter", "brother", "sister")
FATHER, MOTHER, SON, DAUGHTER, BROTHER, SISTER = range(len(TOLD))
PARENT, CHILD, SIBLING = (
    (FATHER, MOTHER),
    (SON, DAUGHTER),
    (BROTHER, SISTER),
)
# Each relation by the steps that lead to it. A relation's number is its label.
RELATIONS = {
    **{name: ((number,),) for number, name in enumerate(TOLD)},
    "paternal grandfather": ((FATHER,), (FATHER,)),
    "paternal grandmother": ((FATHER,), (MOTHER,)),
    "maternal grandfather": ((MOTHER,), (FATHER,)),
    "maternal grandmother": ((MOTHER,), (MOTHER,)),
    "grandson": (CHILD, (SON,)),
    "granddaughter": (CHILD, (DAUGHTER,)),
    "paternal uncle": ((FATHER,), (BROTHER,)),
    "paternal aunt": ((FATHER,), (SISTER,)),
    "maternal uncle": ((MOTHER,), (BROTHER,)),
    "maternal aunt": ((MOTHER,), (SISTER,)),
    "nephew": (SIBLING, (SON,)),
    "niece": (SIBLING, (DAUGHTER,)),
    "great-grandson": (CHILD, CHILD, (SON,)),
    "great-granddaughter": (CHILD, CHILD, (DAUGHTER,)),
    "paternal great uncle": ((FATHER,), PARENT, (BROTHER,)),
    "paternal great aunt": ((FATHER,), PARENT, (SISTER,)),
    "maternal great uncle": ((MOTHER,), PARENT, (BROTHER,)),
    "maternal great aunt": ((MOTHER,), PARENT, (SISTER,)),
    "great nephew": (SIBLING, CHILD, (SON,)),
    "great niece": (SIBLING, CHILD, (DAUGHTER,)),
    "paternal male cousin": ((FATHER,), SIBLING, (SON,)),
    "paternal female cousin": ((FATHER,), SIBLING, (DAUGHTER,)),
    "maternal male cousin": ((MOTHER,), SIBLING, (SON,)),
    "maternal female cousin": ((MOTHER,), SIBLING, (DAUGHTER,)),
    "father's male cousin": ((FATHER,), PARENT, SIBLING, (SON,)),
    "father's female cousin": ((FATHER,), PARENT, SIBLING, (DAUGHTER,)),
    "mother's male cousin": ((MOTHER,), PARENT, SIBLING, (SON,)),
    "mother's female cousin": ((MOTHER,), PARENT, SIBLING, (DAUGHTER,)),
    "cousin's son": (PARENT, SIBLING, CHILD, (SON,)),
    "cousin's daughter": (PARENT, SIBLING, CHILD, (DAUGHTER,)),
}
LONGEST = max(map(len, RELATIONS.values()))
# Whether each relation goes on, at each of its steps, by each one told.
_GOES = np.array(
    [
        [
            np.isin(range(len(TOLD)), steps[i] if i < len(steps) else ())
            for i in range(LONGEST)
        ]
        for steps in RELATIONS.values()
    ]
)
MOST_CHILDREN = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class FamilyInference(TriplesTask):
    """A family tree, a person and a relation; the person so related.

    Told is each person's father, mother, sons, daughters, brothers and sisters.
    The question is one triple with the labels of a person and of a relation;
    the answer is the same triple with the one person of whom this is true.
    Questions of several answers are not asked. Those of relations that a tree
    has a question of are equally likely.

    A length is the number of told relations that lead to one that is inferred:
    a maternal great uncle is a brother of a parent of the mother, of length 3.
    With `min_length` 1 the told relations are asked about too. The labels of
    relations are the same in all sequences, since they have a meaning. By trial
    it is learned by a network that begins with the weights of one that was
    trained on `GraphTraversal`, and with hints.

    A tree begins with a couple. While there is room, a random couple with fewer
    than three children gets one, or a random descendant marries someone
    new and has the first child, each with probability 1/2.

    Source: Graves et al. (2016), Methods, *Graph task descriptions*, which has
    more relations; phases and labels are those of `TriplesTask`.

    Raises:
        ValueError: If an option is out of its range, or an edge of the graph
            is none of the relations that are told; when sequences are drawn
            with hints, if `planning` is below `max_length`.
        FileNotFoundError: If `graph` names no file.
    """

    min_length: int = option(1, "fewest relations that an inferred one takes")
    max_length: int = option(3, "most relations that an inferred one takes")
    min_people: int = option(8, "fewest people of a random tree")
    max_people: int = option(12, "most people of a random tree")
    planning: int = option(4, "silent steps before the answer", zero=True)
    hints: bool = option(
        True,
        "targets at silent steps, too: the relations that lead on from the "
        "person",
        training=True,
        before=False,
    )

    name = "family-inference"
    summary = (
        "infer how people of a family tree are related; begin with --weights "
        "of graph-traversal"
    )
    # A slot for each of the facts.
    recipe = dataclasses.replace(TriplesTask.recipe, memory_size=64)
    largest = "max_people"

    def __post_init__(self):
        super().__post_init__()
        if self.max_length > LONGEST:
            raise ValueError(
                f"`max_length` must be at most {LONGEST}, that of the longest "
                f"relation. Received: max_length={self.max_length}"
            )
        if self.min_people < 3:
            raise ValueError(
                "`min_people` must be at least 3, two parents and a child. "
                f"Received: min_people={self.min_people}"
            )
        if not self.min_people <= self.max_people <= LABELS:
            raise ValueError(
                f"`max_people` must be from min_people={self.min_people} to "
                f"{LABELS}, the number of labels. Received: "
                f"max_people={self.max_people}"
            )
        if self.graph:
            _check_told(self.loaded)

    @property
    def people(self) -> int:
        """The largest number of people of a tree."""
        return len(self.loaded.nodes) if self.graph else self.max_people

    @property
    def cells(self) -> int:
        """Who may be told to be whose what.

        Of all relations there are six times as many, as truth values.
        """
        return len(TOLD) * self.people**2

    def edge_labels(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Returns the same labels for all sequences.

        Args:
            count: The number of sequences.
            rng: Not used: the labels have a meaning.

        Returns:
            Array of shape `(B, L)` of numbers.
        """
        return np.broadcast_to(np.arange(LABELS), (count, LABELS))

    def questions(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Questions, np.ndarray]:
        """Draws family trees and a question about each.

        Args:
            count: How many.
            rng: Where they are drawn from.

        Returns:
            Tuple of `Questions` and whether each tree has one.
        """
        facts = self._facts(count, rng)
        names = [
            number
            for number, steps in enumerate(RELATIONS.values())
            if self.min_length <= len(steps) <= self.max_length
        ]
        related = related_people(facts, self.people)[:, names]
        is_only = related.sum(-1) == 1
        place = random_place(is_only.any(-1), rng)
        every = np.arange(count)
        person = random_place(is_only[every, place], rng)
        answer = np.stack(
            [
                person,
                related[every, place, person].argmax(-1),
                np.array(names)[place],
            ],
            axis=-1,
        )[:, None]
        query = answer.copy()
        query[..., 1] = NONE
        return Questions(facts, query, answer), is_only.any((1, 2))

    def thoughts(self, asked: Questions) -> np.ndarray | None:
        """Returns the told relations that lead on from the person, by step.

        Those are of the kind that the relation takes at that step; some lead
        to someone from whom it does not go on.

        Args:
            asked: Family trees, and a question about each.

        Returns:
            Array of truth values of shape `(B, planning, E)`, or None without
            hints.

        Raises:
            ValueError: If there are too few silent steps.
        """
        if not self.hints:
            return None
        if self.planning < self.max_length:
            raise ValueError(
                f"`planning` must be at least max_length={self.max_length} "
                "with hints, a silent step for each relation on the way. "
                f"Without them, hints=False. Received: planning={self.planning}"
            )
        facts, query, _ = asked
        source, destination, told = np.moveaxis(facts, -1, 0)
        exists = source != NONE
        every = np.arange(len(facts))[:, None]
        thoughts = np.zeros((len(facts), self.planning, exists.shape[1]), bool)
        leads_on = source == query[..., 0]
        for step in range(self.max_length):
            goes = _GOES[query[..., 2], step, told]
            thoughts[:, step] = leads_on & goes & exists
            reached = np.zeros((len(facts), self.people), bool)
            tree, fact = np.nonzero(thoughts[:, step])
            reached[tree, destination[tree, fact]] = True
            leads_on = reached[every, source]
        return thoughts

    def _facts(self, count, rng):
        """Returns triples of people and relations, `(B, E, 3)`."""
        if self.graph:
            triples = self.loaded.triples.copy()
            told = np.array([TOLD.index(name) for name in self.loaded.edges])
            triples[:, 2] = told[triples[:, 2]]
            return np.broadcast_to(triples, (count, *triples.shape))
        sizes = rng.integers(self.min_people, self.max_people + 1, count)
        facts = np.full((count, _most_facts(self.max_people), 3), NONE)
        for tree, size in zip(facts, sizes, strict=True):
            told = _told(*random_tree(size, rng))
            tree[: len(told)] = told
        return facts


def related_people(facts: np.ndarray, people: int) -> np.ndarray:
    """Infers who is related to whom.

    Args:
        facts: Triples of people and told relations, shape `(B, E, 3)`.
        people: The number of people.

    Returns:
        Array of truth values of shape `(B, len(RELATIONS), people, people)`:
        whether the last person is in this relation to the one before.
    """
    tree, fact = np.nonzero(facts[..., 0] != NONE)
    source, destination, relation = facts[tree, fact].T
    told = np.zeros((len(facts), len(TOLD), people, people), "float32")
    told[tree, relation, source, destination] = 1

    def followed(reached, step):
        leads = told[:, list(step)].sum(1)
        return np.minimum(reached @ leads, 1)

    myself = np.eye(people, dtype="float32")
    return np.stack(
        [
            functools.reduce(followed, steps, myself) > 0
            for steps in RELATIONS.values()
        ],
        axis=1,
    )


def random_tree(
    people: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a family tree.

    Args:
        people: The number of people, at least 3.
        rng: Where it is drawn from.

    Returns:
        Tuple of an array of shape `(people, 2)`, the father and the mother of
        each person or `NONE` twice, and one of shape `(people,)`, whether each
        is male.
    """
    parents, is_male = [(NONE, NONE)] * 2, [True, False]
    couples, single = [], []

    def add_child(couple):
        couple.append(len(parents))
        single.append(len(parents))
        parents.append(tuple(couple[:2]))
        is_male.append(rng.random() < 1 / 2)

    def marry(person):
        spouse = len(parents)
        parents.append((NONE, NONE))
        is_male.append(not is_male[person])
        couple = [person, spouse] if is_male[person] else [spouse, person]
        couples.append(couple)
        add_child(couple)

    couples.append([0, 1])
    add_child(couples[0])
    while len(parents) < people:
        # A couple is its two people and their children.
        room = [couple for couple in couples if len(couple) - 2 < MOST_CHILDREN]
        places = sum(MOST_CHILDREN + 2 - len(couple) for couple in room)
        left = people - len(parents)
        # The last person but one must not take the last child's place.
        must_marry = not room or (left == 2 and places == 1)
        if must_marry or (left >= 2 and rng.random() < 1 / 2):
            marry(single.pop(rng.integers(len(single))))
        else:
            add_child(room[rng.integers(len(room))])
    return np.array(parents), np.array(is_male)


def _told(parents, is_male):
    """Returns the triples that are told about a tree."""
    children = np.flatnonzero(parents[:, 0] != NONE)
    father, mother = parents[children].T
    child = np.where(is_male[children], SON, DAUGHTER)
    same = father[:, None] == father
    np.fill_diagonal(same, False)
    one, other = np.nonzero(same)
    sibling = np.where(is_male[children[other]], BROTHER, SISTER)
    relations = [
        (children, father, np.full_like(child, FATHER)),
        (children, mother, np.full_like(child, MOTHER)),
        (father, children, child),
        (mother, children, child),
        (children[one], children[other], sibling),
    ]
    return np.concatenate(
        [np.stack(relation, axis=-1) for relation in relations]
    )


def _most_facts(people):
    """Returns how many triples a tree of so many people has at most."""
    # Of c children of couples that are full but for one.
    most = 0
    for children in range(1, people):
        full, rest = divmod(children, MOST_CHILDREN)
        # Each couple but the first has someone new.
        if 1 + children + full + (rest > 0) > people:
            break
        siblings = full * MOST_CHILDREN * (MOST_CHILDREN - 1)
        siblings += rest * (rest - 1)
        most = 4 * children + siblings
    return most


def _check_told(graph: Graph):
    for number, name in enumerate(graph.edges):
        if name not in TOLD:
            first = graph.triples[:, 2].tolist().index(number)
            raise ValueError(
                f"{graph.places[first]}: expected one of the relations "
                f"{', '.join(TOLD)}. Received: {name!r}"
            )
