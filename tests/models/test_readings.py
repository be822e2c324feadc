"""What single readings show: the step of the timer, whatever the unit, and readings that cannot be right."""

import numpy as np
import pytest

from simmore import devices, proxies, space
from simmore.experiments import comparison
from simmore.models import Knowledge, implausible
from simmore.models.posterior import Posterior, Sampler
from simmore.models.readings import TOO_FAST, TOO_SLOW, resolution
from simmore.strategies import BEST, History, Problem, Session, catalogue, recommendation, run
from simmore.strategies.recommendation import ExpectedRange

EVERYTHING = np.arange(space.N_ARCHS)


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize(
    ("readings", "step"),
    [
        ([14.0, 9.0, 21.0], 1.0),
        ([140.0, 90.0, 210.0], 10.0),
        ([12.5, 9.25, 17.75], 0.01),
        ([14.31234567, 9.0, 21.0], 0.0),  # finer than six digits
        ([np.pi, np.e, 9.0], 0.0),
        ([20.0], 1.0),  # its zero may be a digit like any other
        ([20.0, 30.0, 40.0], 10.0),
    ],
)
def test_the_step_of_a_timer_by_hand_in_any_unit(readings, step, unit):
    assert resolution(unit * np.array(readings)) == pytest.approx(unit * step)


def test_rounding_widens_the_posterior_of_coarse_readings_alone():
    prior, archs = Knowledge().operations, np.array([5, 900, 7000, 12])
    exact = 20 * prior.shape[archs] + 1e-7 * np.pi
    coarse, fine = (Posterior.of(prior, archs, np.round(exact / step) * step) for step in (2.0, 1e-4))
    assert (coarse.deviation_ms(archs) > fine.deviation_ms(archs)).all()


@pytest.mark.parametrize("how", ["as measured", "in whole ms"])
@pytest.mark.parametrize("name", [name for name, one in catalogue.STRATEGIES.items() if one.knows != catalogue.NOTHING])
def test_the_unit_of_time_changes_no_search(name, how, gpu_table):
    table = gpu_table if how == "as measured" else np.round(gpu_table)
    found = [
        run(Session(name, start=3, seed=1), devices.TableDevice("board", unit * table))
        for unit in (1.0, 1e-3, 1e3, 1e6)
    ]
    for other in found[1:]:
        assert other.trajectory["arch"].tolist() == found[0].trajectory["arch"].tolist()
        assert other.arch == found[0].arch
        assert other.expected_regret == pytest.approx(found[0].expected_regret, rel=1e-3)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_the_unit_of_time_changes_no_search_whose_start_failed(unit, gpu_table):
    table = gpu_table.copy()
    table[3] = np.inf
    for name in ("paper", BEST):
        one, other = (run(Session(name, start=3), devices.TableDevice("board", by * table)) for by in (1.0, unit))
        assert one.trajectory["arch"].tolist() == other.trajectory["arch"].tolist()


def mean_regret(name, table, device, n_starts=4):
    case = comparison.Case(name, devices.TableDevice(device, table), Problem.of(), n_starts=n_starts, budget=10)
    return comparison.at(comparison.regrets(case))["inference_regret"].mean()


def test_a_table_in_whole_microseconds_or_another_unit_is_searched_as_well(measured_tables):
    table = devices.load("gold_6226").latency_ms(EVERYTHING)
    before = mean_regret(BEST, table, "gold_6226")
    for other in (np.round(1e3 * table), 1e-3 * table, 1e3 * table, 1e6 * table):
        assert mean_regret(BEST, other, "gold_6226") <= before + 0.05


def test_a_coarse_timer_does_not_make_a_launch_bound_device_a_phone_with_spikes():
    table = 8 + devices.all_operation_counts() @ [0.0, 0.3, 1.0, 1.2, 0.6]  # the fastest cell takes 0.7 of the mean
    table *= 12.5 / table.mean()
    archs = np.random.default_rng(0).choice(len(table), 10, replace=False)
    sampler = Sampler(Knowledge().simulated, np.arange(10), n=384, rng=np.random.default_rng(0))
    exact, rounded = (np.median(sampler.condition(archs, y).range_ms) for y in (table[archs], np.round(table[archs])))
    assert rounded == pytest.approx(exact, rel=0.25)


# readings that cannot be right


def test_a_reading_is_judged_by_its_ratio_to_the_mean_shape():
    shape = np.array([1.0, 2.0, 4.0, 8.0])
    archs, latency = np.arange(4), 5 * shape
    for factor, wrong in ((TOO_SLOW * 1.01, True), (TOO_SLOW * 0.99, False), (0.99 / TOO_FAST, True)):
        changed = latency * [1, 1, factor, 1]
        assert implausible(shape, archs, changed).tolist() == [False, False, wrong, False]
    assert not implausible(shape, archs[:2], [1.0, 1e6]).any()  # which of the two is wrong?
    assert implausible(shape, archs, [5.0, np.inf, 1e5, 40.0]).tolist() == [False, False, True, False]
    assert implausible(shape, archs, [5.0, 10.0, 2e4, 4e4]).tolist() == [False, False, True, True]


def test_practically_no_device_sampled_from_xi_has_such_a_cell(synthetic):
    prior, rng = Knowledge().operations, np.random.default_rng(0)
    table = devices.all_operation_counts() @ synthetic.sample(300, rng).T
    share = np.mean([implausible(prior.shape, EVERYTHING, column).mean() for column in table.T])
    assert share < 1e-4


def test_a_model_learns_from_plausible_readings_alone():
    prior, archs = Knowledge().operations, np.array([5, 900, 7000, 12])
    latency = 20 * prior.shape[archs]
    wrong = latency * [1, 1000, 1, 1]
    history = History(zip(archs, wrong, strict=True))
    assert history.usable(prior.shape)[0].tolist() == [5, 7000, 12]
    right = History(zip(archs[[0, 2, 3]], latency[[0, 2, 3]], strict=True))
    np.testing.assert_array_equal(ExpectedRange(prior).predicted_ms(history), ExpectedRange(prior).predicted_ms(right))


def test_an_implausible_reading_counts_when_a_second_one_agrees():
    prior, archs = Knowledge().operations, np.array([5, 900, 7000, 12])
    history = History(zip(archs, 20 * prior.shape[archs] * [1, 1000, 1, 1], strict=True))
    history.revisit(900)  # a step to a known cell is no reading
    assert history.implausible(prior.shape).tolist() == [False, True, False, False]
    history.add(900, 1.3 * history[900])
    assert history.implausible(prior.shape).any()
    history.add(900, history[900])
    assert history.usable(prior.shape)[0].tolist() == archs.tolist()
    assert history.revised({900: 7.0}).confirmed == {900}


@pytest.mark.parametrize("factor", [1000.0, 0.001])
@pytest.mark.parametrize("device", ["nats_gpu", "litert_fp32", "raspi4_lut", "titan_rtx_1_lut"])
def test_one_wrong_reading_hardly_changes_the_recommendation(device, factor):
    """It counts as little as if it had not been made: on average over readings, regret rises by less than a tenth."""
    problem, table = Problem(proxies.stored_score()), devices.load(device).latency_ms(EVERYTHING)
    regret = devices.normalised_regret(devices.reward(problem.score, table), EVERYTHING)
    whole = Session(BEST, problem, start=5, budget=8)
    run(whole, devices.TableDevice("board", table))
    rule, steps = whole.rule, [(arch, table[arch]) for arch in whole.history.archs]
    recommended = recommendation.recommend(rule, problem, History(steps)).arch
    rises = []
    for k, (arch, latency) in enumerate(steps):
        wrong = [*steps[:k], (arch, factor * latency), *steps[k + 1 :]]
        assert History(wrong).archs[rule.implausible(History(wrong))].tolist() == [arch]
        found = recommendation.recommend(rule, problem, History(wrong)).arch
        assert found == recommendation.recommend(rule, problem, History([*steps[:k], *steps[k + 1 :]])).arch
        if arch != recommended:  # otherwise another cell has to be recommended
            rises.append(regret[found] - regret[recommended])
    assert np.mean(rises) < 0.1


def test_a_wrong_reading_is_named_and_the_search_goes_on_as_without_it(gpu_table):
    measured = [(arch, gpu_table[arch]) for arch in (5, 900, 7000, 12)]
    session = Session(BEST, measured=[*measured, (9, 1e3 * gpu_table[9])])
    from simmore.strategies import Search

    found = Search.of(session)
    assert found.implausible == [9] and 9 not in found.ranked
    assert session.ask() == Session(BEST, measured=[*measured, (9, np.inf)]).ask()
    assert Search.of(Session("random", measured=[*measured, (9, 1e9)])).implausible == []
