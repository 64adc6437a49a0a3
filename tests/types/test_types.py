"""The contracts' own checks: what is refused and how it is named, and what is packed how."""

import pytest
import torch

from kedge import Assignment, Detections, Grid, Level, Predictions, Targets

BOX = [1.0, 2, 5, 9]


def targets(boxes, image, **columns) -> Targets:
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    columns.setdefault("labels", torch.zeros(len(boxes), dtype=torch.int64))
    columns.setdefault("batch_size", 4)
    return Targets(boxes=boxes, image=torch.tensor(image, dtype=torch.int64), **columns)


class TestTargets:
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ([1, float("nan"), 5, 9], "NaN or infinite"),
            ([1, 2, float("inf"), 9], "NaN or infinite"),
            ([5, 2, 1, 9], "flipped box"),
            ([1, 9, 5, 2], "flipped box"),
        ],
    )
    def test_a_bad_box_is_named_by_image_object_and_row(self, bad, message):
        with pytest.raises(ValueError, match=rf"image 2, object 1 \(row 3\) has a.*{message}"):
            targets([BOX, BOX, BOX, bad, BOX], [0, 0, 2, 2, 3])

    @pytest.mark.parametrize("image", [[0, 4], [-1, 0]])
    def test_an_image_outside_the_batch_is_refused(self, image):
        with pytest.raises(ValueError, match="outside the batch"):
            targets([BOX, BOX], image)

    def test_a_negative_label_is_refused(self):
        with pytest.raises(ValueError, match=r"row 1\).*negative label"):
            targets([BOX, BOX], [0, 1], labels=torch.tensor([3, -1]))

    def test_objects_are_sorted_by_image(self):
        with pytest.raises(ValueError, match="sort the objects by image"):
            targets([BOX, BOX], [1, 0])

    @pytest.mark.parametrize(
        "columns", [{"labels": torch.zeros(3)}, {"ignore": torch.zeros(1, dtype=torch.bool)}]
    )
    def test_columns_are_as_long_as_the_boxes(self, columns):
        with pytest.raises(ValueError, match=r"must be \(2,\) like boxes"):
            targets([BOX, BOX], [0, 1], **columns)

    def test_boxes_have_four_columns(self):
        index = torch.zeros(2, dtype=torch.int64)
        with pytest.raises(ValueError, match=r"\(G, 4\) xyxy"):
            Targets(boxes=torch.zeros(2, 5), labels=index, image=index, batch_size=1)

    def test_only_some_are_seen_and_crowds_stay_crowds(self):
        ignore = torch.tensor([False, True, False])
        given = targets([BOX, BOX, BOX], [0, 0, 1], ignore=ignore)
        assert given.real.tolist() == [0, 2]  # kept from here on
        part = given.only(torch.tensor([False, True, True]))
        assert part.real.tolist() == [2]
        assert part.crowds.tolist() == [0, 1]
        assert not part.all_real
        assert given.real.tolist() == [0, 2]
        assert part.boxes is given.boxes

    def test_rows_between_two_are_targets_of_the_same_batch(self):
        ignore = torch.tensor([False, True, False])
        given = targets([BOX, BOX, BOX], [0, 0, 1], ignore=ignore)
        assert given.real.tolist() == [0, 2]  # kept from here on
        part = given.between(1, 3)
        assert (part.real.tolist(), part.crowds.tolist()) == ([1], [0])
        assert part.image.tolist() == [0, 1]
        assert part.batch_size == given.batch_size
        assert part.boxes.data_ptr() == given.boxes[1:].data_ptr()  # no copy
        assert part.extremes is None
        assert given.real.tolist() == [0, 2]

    def test_a_box_without_area_is_accepted(self):
        assert len(targets([[3, 3, 3, 3]], [0])) == 1

    def test_from_list_packs_torchvisions_dictionaries(self):
        packed = Targets.from_list(
            [
                {"boxes": torch.tensor([BOX, BOX]), "labels": torch.tensor([4, 5])},
                {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
                {"boxes": torch.tensor([BOX]), "labels": [6], "iscrowd": torch.tensor([1])},
            ]
        )
        assert packed.labels.tolist() == [4, 5, 6]
        assert packed.image.tolist() == [0, 0, 2]
        assert packed.ignore.tolist() == [False, False, True]
        assert packed.count.tolist() == [2, 0, 1]
        assert packed.first.tolist() == [0, 2, 2]
        assert packed.batch_size == 3

    def test_from_list_names_the_image_whose_columns_disagree(self):
        with pytest.raises(ValueError, match="'labels' must have an entry a box, 1, not 2"):
            Targets.from_list(
                [{"boxes": torch.zeros(0, 4)}, {"boxes": torch.tensor([BOX]), "labels": [1, 2]}]
            )

    @pytest.mark.parametrize("batch", [[], [{"boxes": []}], [{"boxes": torch.zeros(0, 4)}] * 3])
    def test_from_list_takes_batches_without_objects(self, batch):
        packed = Targets.from_list(batch)
        assert len(packed) == 0
        assert packed.batch_size == len(batch)
        assert packed.count.tolist() == [0] * len(batch)

    def test_integer_boxes_become_floating_point(self):
        assert Targets.from_list(
            [{"boxes": torch.tensor([[1, 2, 3, 4]])}]
        ).boxes.dtype.is_floating_point

    def test_to_moves_every_column(self):
        moved = targets([BOX], [0], ignore=torch.tensor([True])).to("cpu")
        assert moved.ignore.tolist() == [True]
        assert moved.batch_size == 4


class TestPredictions:
    grid = Grid((20, 30), [Level(stride=10)])  # six anchors

    def test_boxes_are_decoded_only_where_they_are_read(self):
        asked = []

        class Shift:
            def encode(self, anchor_boxes, boxes, stride=None):
                raise AssertionError("not needed")

            def decode(self, anchor_boxes, codes, stride=None):
                asked.append(len(codes))
                return anchor_boxes + codes

        codes = torch.arange(12.0)[:, None].expand(12, 4).reshape(2, 6, 4)
        predictions = Predictions.from_codes(torch.zeros(2, 6, 3), codes, self.grid, Shift())
        assert asked == []
        # flat 7 is anchor 1 of image 1
        assert predictions.boxes_at(torch.tensor([7])).tolist() == [[17, 7, 27, 17]]
        assert asked == [1]

    def test_reading_at_flat_ids(self):
        logits = torch.arange(2 * 6 * 3.0).reshape(2, 6, 3)
        predictions = Predictions.from_tensors(
            logits, torch.zeros(2, 6, 4), objectness=torch.arange(12.0).reshape(2, 6)
        )
        flat = torch.tensor([0, 7])
        assert predictions.logits_at(flat).tolist() == [[0, 1, 2], [21, 22, 23]]
        assert predictions.objectness_at(flat).tolist() == [0, 7]
        assert (predictions.shape, predictions.num_classes) == ((2, 6), 3)

    def test_half_precision_boxes_are_read_in_single(self):
        boxes = torch.zeros(1, 6, 4, dtype=torch.bfloat16)
        predictions = Predictions.from_tensors(torch.zeros(1, 6, 2), boxes)
        assert predictions.boxes_at(torch.tensor([0])).dtype == torch.float32

    def test_detach_leaves_the_original_in_the_graph(self):
        logits = torch.zeros(1, 6, 2, requires_grad=True)
        predictions = Predictions.from_tensors(logits * 2, torch.zeros(1, 6, 4))
        assert not predictions.detach().logits.requires_grad
        assert predictions.logits.requires_grad

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: (torch.zeros(6, 3), torch.zeros(1, 6, 4)), r"\(B, N, C\)"),
            (lambda: (torch.zeros(1, 6, 3), torch.zeros(1, 5, 4)), "must agree"),
            (lambda: (torch.zeros(1, 6, 3), torch.zeros(1, 6, 5)), r"\(B, N, 4\)"),
            (lambda: (torch.zeros(1, 6, 3), torch.zeros(1, 6, 4), torch.zeros(1, 5)), "objectness"),
        ],
    )
    def test_errors_name_the_shapes(self, make, message):
        with pytest.raises(ValueError, match=message):
            Predictions.from_tensors(*make())

    def test_a_head_of_another_grid_is_refused(self):
        class Same:
            def encode(self, anchor_boxes, boxes, stride=None):
                return boxes

            def decode(self, anchor_boxes, codes, stride=None):
                return codes

        with pytest.raises(ValueError, match="the grid has 6"):
            Predictions.from_codes(torch.zeros(1, 5, 2), torch.zeros(1, 5, 4), self.grid, Same())
        with pytest.raises(ValueError, match="both `anchors` and `coder`"):
            Predictions(logits=torch.zeros(1, 6, 2), codes=torch.zeros(1, 6, 4), coder=Same())


class TestAssignment:
    objects = targets([BOX] * 3, [0, 0, 2], batch_size=3)

    def make(self, anchor, target, **columns) -> Assignment:
        return Assignment(
            anchor=torch.tensor(anchor, dtype=torch.int64),
            target=torch.tensor(target, dtype=torch.int64),
            num_anchors=4,
            targets=self.objects,
            **columns,
        )

    def test_dense_counts_targets_within_their_image(self):
        got = self.make([1, 3, 8], [1, 0, 2], ignored=torch.tensor([0, 11]))
        assert got.dense().tolist() == [[-2, 1, -1, 0], [-1] * 4, [0, -1, -1, -2]]
        assert got.shape == (3, 4)
        assert got.image.tolist() == [0, 0, 2]

    def test_dense_shows_the_heaviest_pair_then_the_lowest_target(self):
        got = self.make([1, 1, 2, 2], [0, 1, 1, 0], weight=torch.tensor([0.2, 0.9, 0.5, 0.5]))
        assert got.dense()[0].tolist() == [-1, 1, 0, -1]

    def test_a_positive_is_never_ignored_in_the_dense_form(self):
        assert self.make([1], [0], ignored=torch.tensor([1, 2])).dense()[0].tolist() == [
            -1,
            0,
            -2,
            -1,
        ]

    def test_background_is_what_is_left(self):
        got = self.make([1], [0], ignored=torch.tensor([2])).background()
        assert got[0].tolist() == [True, False, False, True]
        assert bool(got[1:].all())

    def test_an_empty_assignment(self):
        got = self.make([], [])
        assert len(got) == 0
        assert bool((got.dense() == -1).all())
        assert got.weight.tolist() == got.quality.tolist() == []

    def test_weights_are_ones_unless_given(self):
        got = self.make([1, 2], [0, 1])
        assert got.weight.tolist() == got.quality.tolist() == [1, 1]
        assert got.labels.tolist() == [0, 0]

    @pytest.mark.parametrize("name", ["weight", "quality", "target"])
    def test_columns_are_as_long_as_the_anchors(self, name):
        columns = {"target": torch.zeros(2, dtype=torch.int64), name: torch.zeros(3)}
        with pytest.raises(ValueError, match=f"Assignment.{name} must be"):
            Assignment(anchor=torch.tensor([1, 2]), num_anchors=4, targets=self.objects, **columns)


class TestDetections:
    def test_lists_round_trip(self):
        rows = [
            {
                "boxes": torch.tensor([BOX]),
                "scores": torch.tensor([0.5]),
                "labels": torch.tensor([3]),
            },
            {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0).long()},
            {
                "boxes": torch.tensor([BOX, BOX]),
                "scores": torch.tensor([0.9, 0.1]),
                "labels": torch.tensor([1, 2]),
            },
        ]
        packed = Detections.from_list(rows)
        assert packed.image.tolist() == [0, 2, 2]
        again = packed.to_list()
        for want, got in zip(rows, again):
            assert all(torch.equal(want[key], got[key]) for key in want)

    def test_no_images(self):
        assert Detections.from_list([]).to_list() == []

    def test_errors_name_the_column(self):
        index = torch.zeros(2, dtype=torch.int64)
        with pytest.raises(ValueError, match=r"Detections.scores must be \(2,\)"):
            Detections(
                boxes=torch.zeros(2, 4),
                scores=torch.zeros(3),
                labels=index,
                image=index,
                batch_size=1,
            )
        with pytest.raises(ValueError, match=r"\(D, 4\)"):
            Detections(
                boxes=torch.zeros(2, 3),
                scores=torch.zeros(2),
                labels=index,
                image=index,
                batch_size=1,
            )
