package nextclick;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.flink.api.common.typeinfo.BasicTypeInfo;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.java.typeutils.RowTypeInfo;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.types.Row;

/**
 * Puts records into batches, since each call from Java into Python costs as much as the work on a
 * record. A batch is passed on once it is full, at each tick, and before each checkpoint: so none
 * is ever part of the state. Ticks come at a fixed interval after the last, without records too.
 */
public final class Batches extends AbstractStreamOperator<Row>
    implements OneInputStreamOperator<Row, Row> {
  private static final long serialVersionUID = 1L;
  private static final int HEADER = 3 * Integer.BYTES + 2 * Integer.BYTES + 2 * Long.BYTES;
  private static final int FIRST_BYTES = 1 << 16;

  private final int maxRecords;
  private final int maxBytes;
  private final long tickMs;
  private transient ByteBuffer packed;
  private transient int records;

  /** At most so many records, and so many bytes before the last of them; ticks every tickMs. */
  public Batches(int maxRecords, int maxBytes, long tickMs) {
    this.maxRecords = maxRecords;
    this.maxBytes = maxBytes;
    this.tickMs = tickMs;
  }

  /** ("", (records packed, 1 at a tick)): all batches have the same key. */
  public static RowTypeInfo batchType() {
    return new RowTypeInfo(
        BasicTypeInfo.STRING_TYPE_INFO,
        new RowTypeInfo(
            PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO, BasicTypeInfo.INT_TYPE_INFO));
  }

  @Override
  public void open() throws Exception {
    super.open();
    packed = ByteBuffer.allocate(FIRST_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    records = 0;
    setTimer();
  }

  @Override
  public void processElement(StreamRecord<Row> element) {
    pack((Row) element.getValue().getField(1));
    records++;
    if (records >= maxRecords || packed.position() >= maxBytes) {
      passOn(0);
    }
  }

  @Override
  public void prepareSnapshotPreBarrier(long checkpointId) {
    passOnWaiting();
  }

  @Override
  public void finish() throws Exception {
    passOnWaiting();
    super.finish();
  }

  private void passOnWaiting() {
    if (records > 0) {
      passOn(0);
    }
  }

  private void setTimer() {
    long now = getProcessingTimeService().getCurrentProcessingTime();
    getProcessingTimeService().registerTimer(now + tickMs, time -> tick());
  }

  private void tick() {
    passOn(1);
    setTimer();
  }

  private void passOn(int tick) {
    byte[] batch = Arrays.copyOf(packed.array(), packed.position());
    packed.clear();
    records = 0;
    output.collect(new StreamRecord<>(Row.of("", Row.of(batch, tick))));
  }

  /** Sizes of value, key and topic, partition, 1 if replayed, offset, timestamp; then the bytes. */
  private void pack(Row record) {
    byte[] value = (byte[]) record.getField(0);
    byte[] key = (byte[]) record.getField(1);
    byte[] topic = ((String) record.getField(2)).getBytes(StandardCharsets.UTF_8);
    makeRoom(HEADER + value.length + key.length + topic.length);
    packed.putInt(value.length).putInt(key.length).putInt(topic.length);
    packed.putInt((Integer) record.getField(3)).putInt((Integer) record.getField(6));
    packed.putLong((Long) record.getField(4)).putLong((Long) record.getField(5));
    packed.put(value).put(key).put(topic);
  }

  private void makeRoom(int bytes) {
    if (packed.remaining() < bytes) {
      int size = Math.max(2 * packed.capacity(), packed.position() + bytes);
      byte[] copy = Arrays.copyOf(packed.array(), size);
      packed = ByteBuffer.wrap(copy).order(ByteOrder.LITTLE_ENDIAN).position(packed.position());
    }
  }
}
