"""The order of images depends on seed and epoch only."""

from kedge.train.sampler import EpochSampler


def order(seed, epoch, size=50):
    sampler = EpochSampler(size, seed)
    sampler.epoch = lambda: epoch
    return list(sampler)


def test_every_image_once_and_the_epoch_travels_along():
    places = order(0, 3)
    assert {epoch for epoch, _ in places} == {3}
    assert sorted(index for _, index in places) == list(range(50))


def test_the_order_is_a_function_of_seed_and_epoch():
    assert order(1, 2) == order(1, 2)
    assert [i for _, i in order(1, 2)] != [i for _, i in order(1, 3)]
    assert [i for _, i in order(1, 2)] != [i for _, i in order(2, 2)]


def test_the_epoch_is_asked_when_the_pass_begins():
    sampler, now = EpochSampler(4, 0), [0]
    sampler.epoch = lambda: now[0]
    first = list(sampler)
    now[0] = 1
    assert first[0][0] == 0
    assert next(iter(sampler))[0] == 1
