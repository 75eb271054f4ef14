package nextclick;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.typeinfo.BasicTypeInfo;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.api.java.typeutils.ResultTypeQueryable;
import org.apache.flink.api.java.typeutils.RowTypeInfo;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.types.Row;
import org.apache.flink.util.Collector;

/**
 * Whole Kafka records in and out of PyFlink, which by itself knows neither keys, offsets and
 * headers nor a topic per record and tombstones.
 */
public final class Records {
  private static final TypeInformation<byte[]> BYTES =
      PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;
  private static final TypeInformation<String> STRING = BasicTypeInfo.STRING_TYPE_INFO;

  private Records() {}

  /** (value, key bytes, topic, partition, offset, timestamp, 1 if replayed). */
  public static RowTypeInfo recordType() {
    return new RowTypeInfo(
        BYTES, BYTES, STRING,
        BasicTypeInfo.INT_TYPE_INFO, BasicTypeInfo.LONG_TYPE_INFO, BasicTypeInfo.LONG_TYPE_INFO,
        BasicTypeInfo.INT_TYPE_INFO);
  }

  /** (key as text, record). A key that is no UTF-8 becomes text with replacement characters. */
  public static RowTypeInfo keyedType() {
    return new RowTypeInfo(STRING, recordType());
  }

  /** Reads records as rows of {@link #keyedType()}. */
  public static final class Reader implements KafkaRecordDeserializationSchema<Row> {
    private static final long serialVersionUID = 1L;

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Row> out) {
      byte[] key = record.key() == null ? new byte[0] : record.key();
      byte[] value = record.value() == null ? new byte[0] : record.value();
      int replayed = record.headers().lastHeader("replay") == null ? 0 : 1;
      out.collect(
          Row.of(
              new String(key, StandardCharsets.UTF_8),
              Row.of(
                  value, key, record.topic(), record.partition(), record.offset(),
                  record.timestamp(), replayed)));
    }

    @Override
    public TypeInformation<Row> getProducedType() {
      return keyedType();
    }
  }

  /** Keys rows by their first field; PyFlink wants the key wrapped in a row. */
  public static final class Key implements KeySelector<Row, Row>, ResultTypeQueryable<Row> {
    private static final long serialVersionUID = 1L;

    @Override
    public Row getKey(Row row) {
      return Row.of(row.getField(0));
    }

    @Override
    public TypeInformation<Row> getProducedType() {
      return new RowTypeInfo(STRING);
    }
  }

  /**
   * Writes rows of (topic, key bytes, value bytes, headers): an empty key is none, an empty value
   * is a tombstone, headers are lines of {@code name=value}. Counts the records by topic.
   */
  public static final class Writer implements KafkaRecordSerializationSchema<Row> {
    private static final long serialVersionUID = 1L;

    private transient MetricGroup metrics;
    private transient Map<String, Counter> written;

    @Override
    public void open(SerializationSchema.InitializationContext context, KafkaSinkContext sink) {
      metrics = context.getMetricGroup();
      written = new HashMap<>();
    }

    private Counter counter(String topic) {
      return metrics.addGroup("topic", topic).counter("written");
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Row row, KafkaSinkContext context, Long time) {
      String topic = (String) row.getField(0);
      written.computeIfAbsent(topic, this::counter).inc();
      byte[] key = (byte[]) row.getField(1);
      byte[] value = (byte[]) row.getField(2);
      String lines = (String) row.getField(3);
      RecordHeaders headers = new RecordHeaders();
      if (!lines.isEmpty()) {
        for (String line : lines.split("\n")) {
          int equals = line.indexOf('=');
          headers.add(
              line.substring(0, equals),
              line.substring(equals + 1).getBytes(StandardCharsets.UTF_8));
        }
      }
      return new ProducerRecord<>(
          topic, null, null,
          key.length == 0 ? null : key, value.length == 0 ? null : value, headers);
    }
  }
}
