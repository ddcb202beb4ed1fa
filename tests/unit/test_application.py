"""The firmware of a virtual board, byte for byte: what it says at boot, to commands, to junk, and where it fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from firmware_talk import BOXES, FIRMWARES, SLOT, Desk, Toy, desk_of, messages, reply

from edgewright.boards.virtual.wire import Reset, Unplugged

NEWEST, OLDEST, HEAD = "grove-vision-ai-v2-sscma-1.x", "esp32s3-sscma-1.x", "esp32s3-sscma-1.0-head"
SECOND = "grove-vision-ai-v2-sscma-2.x"
SENSOR = b'{"id": 1, "type": 1, "state": 1, "opt_id": 0, "opt_detail": "240x240 Auto"}'
MODEL = b'{"id": 1, "type": 0, "address": 4194304, "size": 0}'
NOTHING = b'{"id": 0, "type": 0, "address": 0, "size": 0}'


@pytest.fixture
def newest(tmp_path: Path) -> Desk:
    return desk_of(tmp_path, NEWEST)


@pytest.fixture
def oldest(tmp_path: Path) -> Desk:
    return desk_of(tmp_path, OLDEST)


# --- 1.x: boot and plain questions


def test_it_says_that_it_is_ready_and_what_it_set_up_where_that_is_told_and_counts_its_boots(
    newest: Desk, tmp_path: Path
) -> None:
    first = newest.talk(booting=True)
    assert first == reply("INIT@STAT?", b'{"boot_count": 0, "is_ready": 1}')
    head = Desk(tmp_path / "head", FIRMWARES[HEAD])
    assert head.talk(booting=True) == reply("INIT@SENSOR", b'{"sensor": ' + SENSOR + b"}", kind=1) + reply(
        "INIT@STAT?", b'{"boot_count": 1, "is_ready": 1}'
    )
    assert b'"boot_count": 2' in head.talk(booting=True)


def test_an_old_build_tells_of_its_model_instead(oldest: Desk) -> None:
    assert oldest.talk(booting=True) == reply("INIT@MODEL", b'{"model": ' + MODEL + b"}", kind=1) + reply(
        "INIT@SENSOR", b'{"sensor": {"id": 1, "type": 1, "state": 1}}', kind=1
    )


@pytest.mark.parametrize(
    ("command", "data"),
    [
        ("NAME?", b'"Grove Vision AI V2"'),
        ("VER?", b'{"at_api": "v0", "software": "2025.01.02", "hardware": "1"}'),
        ("STAT?", b'{"boot_count": 0, "is_ready": 1}'),
        ("MODELS?", b"[" + MODEL + b"]"),
        ("MODEL?", MODEL),
        ("ALGO?", b'{"type": 0, "categroy": 0, "input_from": 0}'),
        ("SENSOR?", SENSOR),
        ("SAMPLE?", b"0"),
        ("INVOKE?", b"0"),
        ("ACTION?", b'{"crc16_maxim": 65535, "action": ""}'),
        ("INFO?", b'{"crc16_maxim": 65535, "info": ""}'),
    ],
)
def test_questions(newest: Desk, command: str, data: bytes) -> None:
    assert newest.talk(f"AT+{command}\r".encode()) == reply(command, data)


def test_decoders_and_the_camera_are_listed(newest: Desk) -> None:
    algorithms, sensors = messages(newest.talk(b"AT+ALGOS?\rAT+SENSORS?\r"))
    assert algorithms["data"][3] == {"type": 5, "categroy": 2, "input_from": 1}
    assert [one["type"] for one in algorithms["data"]] == [7, 6, 8, 5, 4, 3, 2, 1]
    assert sensors["data"][0]["opts"] == {"2": "640x480 Auto", "1": "480x480 Auto", "0": "240x240 Auto"}


def test_an_old_build_has_fewer_decoders(oldest: Desk) -> None:
    (algorithms,) = messages(oldest.talk(b"AT+ALGOS?\r"))
    assert [one["type"] for one in algorithms["data"]] == [6, 5, 4, 3, 2, 1]


def test_what_the_hardware_is_called_fits_what_a_host_expects_of_every_firmware(tmp_path: Path) -> None:
    for firmware in FIRMWARES.values():
        if firmware.at is not None:
            (tmp_path / firmware.name).mkdir()
            (version,) = messages(Desk(tmp_path / firmware.name, firmware).talk(b"AT+VER?\r"))
            assert re.fullmatch(firmware.at.hardware, version["data"]["hardware"]), firmware.name
            assert version["data"]["software"].removeprefix("v") == firmware.at.built


# --- lines


def test_tags_come_back_and_letters_are_large(newest: Desk) -> None:
    assert newest.talk(b"at+k3x@stat?\r") == reply("K3X@STAT?", b'{"boot_count": 0, "is_ready": 1}')


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_either_end_of_a_line_and_both_are_taken(newest: Desk, end: bytes) -> None:
    said = newest.talk(b"AT+SAMPLE?" + end, b"AT+INVOKE?" + end)
    assert said == reply("SAMPLE?", b"0") + reply("INVOKE?", b"0")


def test_an_old_build_waits_for_a_carriage_return(oldest: Desk) -> None:
    assert oldest.talk(b"AT+SAMPLE?\n") == b""
    assert oldest.talk(b"AT+SAMPLE?\r\n", b"AT+INVOKE?\r\n") == reply("SAMPLE?", b"0") + reply("INVOKE?", b"0")


def test_a_command_may_come_byte_by_byte_with_junk_in_it(newest: Desk) -> None:
    assert newest.talk(*[bytes([one]) for one in b"\x00\xffAT+SAM\x07PLE?\r"]) == reply("SAMPLE?", b"0")


def test_what_it_does_not_know_it_repeats_in_a_log_line(newest: Desk) -> None:
    expected = b'\r{"type": 2, "name": "AT", "code": 5, "data": "Unknown command: %s"}\n'
    for line in (b"AT+t@foo=1", b"hello", b"AT+TSCORE?", b"AT+ID"):
        assert newest.talk(line + b"\r") == expected % line


def test_too_few_arguments_are_told_and_more_are_skipped(newest: Desk) -> None:
    said = newest.talk(b"AT+X@INVOKE=1,0\r")
    assert said == reply("AT", b'"Command X@INVOKE got wrong arguements."', 5, 2)
    assert [one["type"] for one in messages(newest.talk(b"AT+INVOKE=1,0,1,7,8\r"))] == [0, 0, 1]


def test_a_line_that_is_too_long_is_dropped_and_the_next_one_heard(newest: Desk) -> None:
    longest = b'AT+ACTION="' + b"x" * (4096 - 12) + b'"'
    assert len(longest) == 4096
    assert messages(newest.talk(longest + b"\r"))[0]["code"] == 0
    assert newest.talk(b"x" + longest + b"\r") == b""
    assert newest.talk(b"x" * 3000, b"y" * 3000, b"z" * 9000, b"\rAT+SAMPLE?\r") == reply("SAMPLE?", b"0")


def test_a_quoted_argument_keeps_its_commas_and_loses_its_backslashes(newest: Desk) -> None:
    (said,) = messages(newest.talk(rb'AT+ACTION="a,\"b\\c"' + b"\r"))
    assert said["data"]["action"] == 'a,"b\\c'


# --- models and running them


def test_a_model_that_is_not_there_cannot_be_chosen(newest: Desk) -> None:
    assert newest.talk(b"AT+MODEL=2\r") == reply("MODEL", b'{"model": ' + NOTHING + b"}", 5)


def test_a_chosen_model_is_kept_over_a_reset(newest: Desk) -> None:
    newest.put(0x1000)
    assert messages(newest.talk(b"AT+MODEL=2\r"))[0]["code"] == 0
    assert [one["id"] for one in messages(newest.talk(b"AT+MODELS?\r"))[0]["data"]] == [2, 1]
    assert messages(newest.talk(b"AT+MODEL?\r"))[0]["data"]["id"] == 2


def test_a_model_is_loaded_once_and_let_go_for_another(newest: Desk) -> None:
    newest.put(0x1000, b"\x20\0\0\0TFL3 other")
    newest.talk(b"AT+MODEL=1\r", b"AT+MODEL=1\r", b"AT+INVOKE=1,0,1\r", b"AT+MODEL=2\r")
    assert [one[:1] for one in newest.toy.loaded] == [b"\x1c", b"\x20"]
    assert newest.toy.closed == 2


def test_a_model_that_the_firmware_does_not_take(newest: Desk) -> None:
    newest.toy.refused = b"\x1c"
    said = newest.talk(b"AT+MODEL=1\r", b"AT+INVOKE=1,0,1\r")
    none = (
        b'{"model": '
        + NOTHING
        + b', "algorithm": {"type": 0, "categroy": 0, "input_from": 0}, "sensor": '
        + SENSOR
        + b"}"
    )
    refused = reply("MODEL", b'{"model": ' + MODEL + b"}", 2)
    assert said == refused + reply("MODEL", b'{"model": ' + NOTHING + b"}", 5) + reply("INVOKE", none, 5)
    assert newest.talk(b"AT+INVOKE=1,0,1\r") == refused + reply("INVOKE", none, 5)


def test_a_run_loads_the_model_answers_and_gives_an_event_a_frame(newest: Desk) -> None:
    said = newest.talk(b"AT+INVOKE=2,0,1\r", b"", b"", b"AT+INVOKE?\r")
    started = (
        b'{"model": ' + MODEL + b', "algorithm": {"type": 5, "categroy": 2, "input_from": 1, '
        b'"config": {"tscore": 50, "tiou": 45}}, "sensor": ' + SENSOR + b"}"
    )
    event = (
        b'{"count": %d, "perf": [8, 62, 1], "keypoints": [[[118, 131, 94, 180, 87, 0], [[112, 60, 95, 0], '
        b'[118, 54, 93, 1]]]], "resolution": [240, 240]}'
    )
    assert said == (
        reply("MODEL", b'{"model": ' + MODEL + b"}")
        + reply("INVOKE", started)
        + reply("INVOKE", event % 1, kind=1)
        + reply("INVOKE", event % 2, kind=1)
        + reply("INVOKE?", b"0")
    )
    assert newest.toy.loaded[0].startswith(b"\x1c\0\0\0TFL3 model")
    assert newest.toy.closed == 1


def test_pictures_come_when_asked_for(newest: Desk) -> None:
    newest.toy = Toy(8, "boxes", BOXES)
    said = newest.talk(b"AT+INVOKE=1,0,0\r")
    data = (
        b'{"count": 1, "perf": [8, 62, 1], "boxes": [[60, 70, 20, 30, 81, 2]], "resolution": [240, 240], '
        b'"image": "/9j/", "rotate": 0}'
    )
    assert said.endswith(reply("INVOKE", data, kind=1))


def test_an_old_build_says_less_of_a_frame(oldest: Desk) -> None:
    said = oldest.talk(b"AT+INVOKE=1,0,0\r")
    assert [list(one["data"]) for one in messages(said)] == [
        ["model", "algorithm", "sensor"],
        ["count", "perf", "keypoints", "image"],
    ]


def test_an_endless_run_answers_between_frames_and_ends_at_break(newest: Desk) -> None:
    said = messages(
        newest.talk(b"AT+R@INVOKE=-1,0,1\r", b"", b"AT+INVOKE?\r", b"", b"AT+BREAK\r", b"", b"", b"AT+INVOKE?\r")
    )
    assert [(one["name"], one["data"].get("count") if one["type"] == 1 else None) for one in said[2:6]] == [
        ("R@INVOKE", 1),
        ("R@INVOKE", 2),
        ("INVOKE?", None),
        ("R@INVOKE", 3),
    ]
    assert [one["name"] for one in said[6:]] == ["R@INVOKE", "BREAK", "INVOKE?"]
    assert said[-1]["data"] == 0


def test_results_that_do_not_differ_are_sent_once_if_so_wished(newest: Desk) -> None:
    events = [one for one in messages(newest.talk(b"AT+INVOKE=3,1,1\r", b"", b"", b"")) if one["type"] == 1]
    assert [one["data"]["count"] for one in events] == [1]
    newest.toy.results = []
    assert not [one for one in messages(newest.talk(b"AT+INVOKE=3,1,1\r", b"", b"", b"")) if one["type"] == 1]


def test_a_model_that_no_decoder_fits(newest: Desk) -> None:
    newest.toy.algorithm = 0
    (_, said) = messages(newest.talk(b"AT+INVOKE=1,0,1\r", b"", b""))
    assert said["code"] == 5
    assert said["data"]["algorithm"] == {"type": 0, "categroy": 0, "input_from": 0}
    assert said["data"]["model"]["id"] == 1


def test_a_decoder_that_was_forced_and_does_not_fit_starts_as_on_a_board_and_its_results_are_refused(
    newest: Desk,
) -> None:
    forced, _, said, log, event = messages(newest.talk(b"AT+ALGO=6\r", b"AT+INVOKE=1,0,1\r", b"", b""))
    assert (forced["code"], forced["data"]["type"]) == (0, 6)
    assert (said["code"], said["data"]["algorithm"]["type"]) == (0, 6)
    assert log["data"] == "not simulated: decoder 6 on outputs that are not for it"
    assert (event["code"], event["data"]) == (10, {"count": 1})
    again = messages(newest.talk(b"AT+ALGO=0\r", b"AT+INVOKE=1,0,1\r"))
    assert [one["code"] for one in again] == [0, 0, 0, 0]
    assert messages(newest.talk(b"AT+ALGO=99\r"))[0]["code"] == 5


def test_what_this_machine_cannot_compute_is_told_in_words(newest: Desk) -> None:
    newest.toy.cannot = "compiled for an NPU, which this machine has not"
    said = newest.talk(b"AT+INVOKE=-1,0,1\r", b"", b"AT+INVOKE?\r")
    assert said.endswith(
        reply("LOG", b'"compiled for an NPU, which this machine has not"', 10, 2)
        + reply("INVOKE", b'{"count": 1}', 10, 1)
        + reply("INVOKE?", b"0")
    )


def test_limits_exist_while_a_model_runs_and_are_kept_for_its_decoder(newest: Desk) -> None:
    said = newest.talk(b"AT+INVOKE=-1,0,1\r", b"AT+TSCORE=70\rAT+TIOU?\rAT+TSCORE=101\rAT+TSCORE=-1\r", b"AT+BREAK\r")
    assert reply("TSCORE", b"70") + reply("TIOU?", b"45") + reply("TSCORE", b"70", 5) * 2 in said
    assert newest.toy.asked == [(50, 45, False), (70, 45, False)]
    assert b'{"tscore": 70, "tiou": 45}' in newest.talk(b"AT+INVOKE=0,0,1\r")
    newest.toy.algorithm = 8
    newest.talk(b"AT+INVOKE=-1,0,1\r", b"AT+TIOU=30\r")
    assert b'{"tscore": 50, "tiou": 30}' in newest.talk(b"AT+INVOKE=0,0,1\r")
    newest.toy.algorithm = 5
    assert b'{"tscore": 70, "tiou": 45}' in newest.talk(b"AT+INVOKE=0,0,1\r")


def test_info_is_kept_for_each_model_with_its_checksum(newest: Desk) -> None:
    newest.put(0x1000)
    said = newest.talk(b'AT+INFO="123456789"\r', b"AT+INFO?\r", b"AT+MODEL=2\r", b"AT+INFO?\r")
    assert said.startswith(
        reply("INFO", b'{"crc16_maxim": 17602, "retries": 0}')
        + reply("INFO?", b'{"crc16_maxim": 17602, "info": "123456789"}')
    )
    assert said.endswith(reply("INFO?", b'{"crc16_maxim": 65535, "info": ""}'))


def test_samples_are_pictures_alone(newest: Desk) -> None:
    said = newest.talk(b"AT+SAMPLE=1\r", b"")
    data = b'{"count": 1, "resolution": [240, 240], "image": "/9j/", "rotate": 0}'
    assert said == reply("SAMPLE", b'{"sensor": ' + SENSOR + b"}") + reply("SAMPLE", data, kind=1)


def test_without_a_model_there_is_nothing_to_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path, FIRMWARES[NEWEST])
    said = messages(desk.talk(b"AT+MODELS?\r", b"AT+INVOKE=1,0,1\r", b""))
    assert said[0]["data"] == []
    assert [one["code"] for one in said[1:]] == [5, 5]
    assert desk.toy.loaded == []


@pytest.mark.parametrize("name", [NEWEST, SECOND])
def test_rst_resets_and_lets_go_of_the_network(tmp_path: Path, name: str) -> None:
    desk = desk_of(tmp_path, name)
    with pytest.raises(Reset) as reset:
        desk.talk(b"AT+MODEL=1\r", b"AT+RST\r")
    assert not reset.value.download
    assert desk.toy.closed == 1


def test_a_loaders_sync_is_left_for_the_loader_even_in_pieces(newest: Desk) -> None:
    with pytest.raises(Reset) as reset:
        newest.talk(b"\xc0\x00\x08", b"\x24\x00\x07", is_download=lambda data: b"\xc0\x00\x08\x24" in data)
    assert reset.value.download
    assert newest.wire.chunks == [b"\xc0\x00\x08\x24\x00\x07"]


def test_the_plug_ends_it_in_the_middle_of_a_run(newest: Desk) -> None:
    newest.talk(b"AT+INVOKE=-1,0,1\r", b"", Unplugged())
    assert newest.toy.closed == 1


def test_settings_that_cannot_be_read_are_forgotten(newest: Desk) -> None:
    newest.talk(b'AT+INFO="text"\r')
    (newest.folder / "settings.json").write_text("{half", encoding="utf-8")
    assert b'"info": ""' in newest.talk(b"AT+INFO?\r")


def test_the_slot_of_the_tests_is_the_firmwares() -> None:
    assert {one.address for one in FIRMWARES.values() if one.at} == {SLOT}
